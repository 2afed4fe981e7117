// Products with weights, as the passes that narrow their numbers see them.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace fulgur {
/// Shorter sums are not worth the rounding; it is also how positions are turned
/// into angles, which have to be exact.
inline constexpr int64_t kShortestSum = 16;

/// Whether sums of `product` are at least so long, as far as is known.
bool hasLongSums(mlir::linalg::LinalgOp product);

/// Whether integers that the model goes on with are found by comparing the
/// elements of the product's result, or of a softmax and the like of it: so
/// experts are picked.
bool decidesWhatIsPicked(mlir::linalg::LinalgOp product);

/// The constant of f32, a matrix or more, that `value` is; null when it is
/// none.
mlir::ElementsAttr floatWeightOf(mlir::Value value);

/// The same constant, called `name`, with elements of a type of 16 bits, whose
/// bits `convert` gives.
mlir::ElementsAttr narrowWeight(mlir::ElementsAttr weight, llvm::StringRef name,
                                mlir::Type element, uint16_t (*convert)(float));
} // namespace fulgur
