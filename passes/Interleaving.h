// What insertions put together out of parts, such as the phases of a transposed
// convolution.
#pragma once
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace fulgur {
/// The insertions into nothing that make `value`, last to first, if nobody else
/// uses them and some are strided; else none.
llvm::SmallVector<mlir::tensor::InsertSliceOp>
interleavedParts(mlir::Value value);
} // namespace fulgur
