// What passes say about what they did and did not do.
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

/// Numbers about `op` for the report; `what` says which kind of thing it is.
void measure(mlir::Operation *op, llvm::StringRef pass, llvm::StringRef what,
             llvm::ArrayRef<std::pair<llvm::StringRef, int64_t>> numbers);
} // namespace fulgur
