// Activation functions of single elements, for whoever fuses one into something
// else.
#pragma once
#include "frontends/onnx/Scalar.h"

namespace fulgur::onnx {

/// 1 / (1 + exp(-x))
Scalar sigmoid(const Scalar &x);
/// log(1 + exp(x)) that does not overflow.
Scalar softplus(const Scalar &x);
/// α·x + β, no less than 0 and no more than 1.
Scalar hardSigmoid(const Scalar &x, double alpha, double beta);
/// x/2 · (1 + erf(x/√2)).
Scalar gelu(const Scalar &x);
/// x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).
Scalar geluByTanh(const Scalar &x);

} // namespace fulgur::onnx
