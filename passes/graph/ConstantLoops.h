// The values of operations whose operands are constants.
#pragma once
#include "mlir/IR/Operation.h"
#include <optional>
#include <vector>

namespace fulgur {
/// The elements of the result of `op`, row by row: a loop of f32 operations
/// that are exact, also one that adds up what it computes, a product, or a
/// normalization. Nothing if it is none of these, if an operand is no
/// constant, or if the result is large and larger than all operands.
std::optional<std::vector<float>> valuesOf(mlir::Operation *op);
} // namespace fulgur
