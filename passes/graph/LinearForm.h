// What an elementwise loop computes of its elements by adding and scaling them
// with constants.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace fulgur {
/// Constants: one number, or one for each index of a loop.
struct Numbers {
  llvm::SmallVector<double> values{0};
  int loop = -1;
};

/// The sum of `value * factor` over the terms, and `shift`.
struct LinearForm {
  struct Term {
    mlir::Value value; ///< in the loop's body
    Numbers factor;
  };
  llvm::SmallVector<Term, 2> terms;
  Numbers shift;
  int64_t operations = 0; ///< that compute it as it stands
};

/// Reads `value`, of f32, in the body of `loop`. Its terms are what it does not
/// add or scale, and what is used elsewhere. Nothing when constants change
/// along several loops.
std::optional<LinearForm> matchLinearForm(mlir::linalg::GenericOp loop,
                                          mlir::Value value);

/// Replaces `loop` by one which computes each `value` from its form, with a
/// multiplication and addition for each term that are rounded once.
mlir::linalg::GenericOp
replaceByForms(mlir::linalg::GenericOp loop,
               llvm::ArrayRef<std::pair<mlir::Value, LinearForm>> forms);
} // namespace fulgur
