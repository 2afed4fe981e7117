// Normalisation over the last dims, for whoever fuses it with something else.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// exp(x) / Σ exp(x) along the axis.
Tensor softmax(const Core &c, const Tensor &x, int64_t axis);

/// (x - mean) / √(variance + epsilon) · scale + bias over the dims from `axis`
/// on; the bias may be left out.
Tensor layerNorm(const Core &c, const Tensor &x, const Tensor &scale,
                 const Tensor &bias, int64_t axis, double epsilon);

/// x / √(mean of squares + epsilon) · scale over the dims from `axis` on.
Tensor rmsNorm(const Core &c, const Tensor &x, const Tensor &scale,
               int64_t axis, double epsilon);

/// Mean and 1/√(variance + epsilon) over the axes, which stay as dims of 1.
std::pair<Tensor, Tensor> statistics(const Core &c, const Tensor &x,
                                     ArrayRef<int64_t> axes, double epsilon);

/// 1/√(mean of squares + epsilon) over the axes, which stay as dims of 1.
Tensor inverseRootMeanSquare(const Core &c, const Tensor &x,
                             ArrayRef<int64_t> axes, double epsilon);

} // namespace fulgur::onnx
