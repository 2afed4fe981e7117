// What passes say about operations that they left as they are.
#pragma once
#include "mlir/IR/Operation.h"
#include "llvm/ADT/Twine.h"

namespace fulgur {
/// Says why `pass` did not improve `op`, which it might have: "its scores are
/// used twice". fulgurc prints it with --remarks and writes it into the report;
/// fulgur-opt prints it with
/// --remarks-filter-missed=.* --remark-format=emitRemark. Nothing happens, and
/// `reason` is not put together, when nobody listens.
void remark(mlir::Operation *op, llvm::StringRef pass,
            const llvm::Twine &reason);
} // namespace fulgur
