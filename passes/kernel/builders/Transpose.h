// Transposition in registers.
#pragma once
#include "passes/kernel/builders/Emitter.h"

namespace fulgur {
/// Transposes n vectors of n lanes, n a power of two: log2(n) rounds of
/// shuffles of pairs.
void transposeSquare(Emitter &e, llvm::MutableArrayRef<mlir::Value> rows);
} // namespace fulgur
