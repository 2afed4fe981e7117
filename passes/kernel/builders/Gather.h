// Rows that data picks from a table: the weights of the experts that a token
// is routed to. A product reads them where they are.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Elementwise.h"
#include <optional>

namespace fulgur {
/// result[i, ...] = table[pick(indices[i]), ...]
struct RowGather {
  mlir::linalg::GenericOp loop;
  mlir::Value table;
  mlir::Value indices() const {
    return mlir::linalg::GenericOp(loop).getDpsInputs()[0];
  }
};

/// Reads what defines `value`; nothing when it is not such a loop.
std::optional<RowGather> matchRowGather(mlir::Value value);

/// Emits the place in the table of row `i`, given the operand `indices`.
mlir::Value pickRow(Emitter &e, const KernelSite &site, RowGather gather,
                    mlir::Value i);
} // namespace fulgur
