// The files of tuning: a database of schedules that were measured, and the
// kernels that are to be measured.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace fulgur {

/// Reads the entries of a tuning database that were measured on `cpu` into the
/// module, for fulgur-choose-schedules. A file that is no such database is an
/// error, entries for kernels that are not there are not.
llvm::Error readTuning(llvm::StringRef path, llvm::StringRef cpu,
                       mlir::ModuleOp module);

/// Writes the modules that fulgur-split-kernels made into files of a folder,
/// and a list of them, index.json.
llvm::Error writeTrials(mlir::ModuleOp module, llvm::StringRef folder,
                        llvm::StringRef cpu);

} // namespace fulgur
