// Elements of less than a byte: packed outside of a model as in ONNX's raw data
// (element after element, each from the low bits on), a byte each inside.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// The bytes that a packed tensor of the shape takes.
Extent packedBytes(const Core &c, DType type, ArrayRef<Extent> shape);
/// The tensor whose packed bytes are given.
Tensor unpack(const Core &c, Value bytes, DType type, ArrayRef<Extent> shape);
/// The bytes, as a tensor of rank 1; bits behind the last element are 0.
Value pack(const Core &c, const Tensor &x);

} // namespace fulgur::onnx
