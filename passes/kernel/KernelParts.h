// Loops over time that do not need each other, such as both directions of a
// recurrent layer, are one kernel, which has a task for each of them: a step is
// too short to be shared out.
#pragma once
#include "dialects/Fulgur.h"
#include "llvm/ADT/SetVector.h"

namespace fulgur {
/// Makes one kernel of neighbours that are loops over time and do not need each
/// other; whether there were any. Operations may then stand in front of what
/// they use.
bool joinLoops(mlir::Block &block);

/// The numbers of the kernel's results, those together that the same loop
/// gives; all of them, if it is not several loops.
llvm::SmallVector<llvm::SmallVector<unsigned>> partsOf(KernelOp kernel);

/// Adds the operations that compute the value.
void addProducers(mlir::Value value,
                  llvm::SetVector<mlir::Operation *> &producers);
} // namespace fulgur
