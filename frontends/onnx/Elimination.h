// What Gaussian elimination computes of matrices.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// The inverses of the matrices in the last two dims. Where there is none, the
/// numbers are not finite.
Tensor inverse(const Core &c, const Tensor &x);

} // namespace fulgur::onnx
