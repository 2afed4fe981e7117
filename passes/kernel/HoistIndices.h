// Where a loop reads an index that is the same in all of its iterations, the
// index is read in front of it.
#pragma once
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace fulgur {
/// Moves loads of integers from arguments that the function only reads in front
/// of loops that run at least once and do not move them. LLVM cannot know that
/// stores of what is gathered or scattered do not change the indices.
void hoistIndices(mlir::func::FuncOp kernel);
} // namespace fulgur
