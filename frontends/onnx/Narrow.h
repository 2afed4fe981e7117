// Floating-point numbers of 8 bits and fewer: OCP's formats for 8 bits and for
// microscaling, and the two without negative zero. There is no arithmetic on
// them but conversion from and to f32, in integer operations that vectorise.
#pragma once
#include "frontends/onnx/Scalar.h"

namespace fulgur::onnx {

/// The number whose bits `x`, of a narrow floating-point type, holds, as f32.
Scalar decodeNarrow(const Scalar &x);
/// The f32 as bits of the type.
Scalar encodeNarrow(const Scalar &x, DType type, const Conversion &how);
/// A number as bits of the type; the nearest if there is none such.
int64_t encodeNarrow(DType type, double number);

} // namespace fulgur::onnx
