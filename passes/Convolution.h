// What are convolutions and pools for the passes that arrange, group and
// compute them.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace fulgur {
/// Whether `op` adds up products of a window of its input with weights, all of
/// one type, of factors of floating point that are widened, or of bytes in 32
/// bits: linalg::inferConvolutionDims then says what its loops are.
bool isConvolution(mlir::Operation *op);

/// Whether the body is `out + in * weight`, of one type or of factors that are
/// widened.
bool addsProducts(mlir::Block *body);

/// Whether `op` folds every window of its input with a sum, a maximum or a
/// minimum of f32, or a maximum of bytes or bfloat16.
bool isPool(mlir::Operation *op);
/// The loop and the factor of `loop * factor`, or of just a loop: what a window
/// moves by.
std::optional<std::pair<unsigned, int64_t>> scaledLoop(mlir::AffineExpr at);
} // namespace fulgur
