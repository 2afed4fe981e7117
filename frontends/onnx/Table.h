// Constant tensors that the importer computes: matrices of transforms, tables
// of trees.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// Numbers as a constant of floating-point type in the module, row-major.
Tensor realTable(const Core &c, DType type, ArrayRef<int64_t> shape,
                 ArrayRef<double> numbers);
/// Integers as a constant of an integer type or BOOL.
Tensor integerTable(const Core &c, DType type, ArrayRef<int64_t> shape,
                    ArrayRef<int64_t> numbers);

} // namespace fulgur::onnx
