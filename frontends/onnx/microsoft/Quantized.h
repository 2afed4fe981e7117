// Quantized operands of ONNX Runtime's operators.
#pragma once
#include "frontends/onnx/Quantization.h"

namespace fulgur::onnx::microsoft {

/// The tensor at `at`, whose scale and zero point follow it, as f32.
Tensor dequantized(const Core &c, const Site &s, size_t at);
/// The f32 tensor with the scale at `at` and the zero point behind it; in the
/// type of the zero point, or in `otherwise` if it is left out.
Tensor quantized(const Core &c, const Site &s, const Tensor &x, size_t at,
                 DType otherwise);
/// Channels that are the last dim become dim 1, and back.
Tensor channelsFirst(const Core &c, const Tensor &x);
Tensor channelsLast(const Core &c, const Tensor &x);

} // namespace fulgur::onnx::microsoft
