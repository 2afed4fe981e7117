// Transposition in registers, and sums that are half of one.
#pragma once
#include "passes/kernel/builders/Emitter.h"

namespace fulgur {
/// Transposes n vectors of n lanes, n a power of two: log2(n) rounds of
/// shuffles of pairs.
void transposeSquare(Emitter &e, llvm::MutableArrayRef<mlir::Value> rows);

/// The sums of the lanes of n vectors of n lanes, of floats or integers, each
/// in the lane that has its vector's number; n is 4, 8 or 16.
mlir::Value sumLanes(Emitter &e, llvm::ArrayRef<mlir::Value> vectors);
} // namespace fulgur
