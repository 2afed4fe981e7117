// Winograd's transformation of 3x3 windows, F(2x2, 3x3): two by two elements of
// the result come out of 16 multiplications instead of 36. Weights g become
// G·g·Gᵀ when compiling; a kernel's body says with a linalg.generic how they
// come back, L·(G·g·Gᵀ)·Lᵀ = g, so it still says what is computed.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Convolution.h"

namespace fulgur {
/// What a window of 3 elements, row or column, becomes.
std::array<float, 4> transformWindow(float a, float b, float c);

/// The weights [..] of type `type`, dims in the order that `c` has them, of the
/// transformed ones [4, 4, filter, channel].
mlir::Value restoreWeights(mlir::OpBuilder &builder, mlir::Location loc,
                           const Convolution &c, mlir::Value transformed,
                           mlir::RankedTensorType type);

/// The transformed weights that those of `c` are restored from; null when they
/// are no such.
mlir::Value transformedWeights(const Convolution &c);
} // namespace fulgur
