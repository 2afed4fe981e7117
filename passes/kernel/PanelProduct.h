// Few rows times weights in panels, [panel, step, column], on buffers: what
// StepProduct makes of a product.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace fulgur {
/// Whether `op` is one, in a loop, that has whole vectors of so many bytes.
bool isPanelProduct(mlir::linalg::LinalgOp op, int64_t vectorBytes);

/// Emits its loops in front of it: tiles of a few rows and a part of a panel,
/// whose sums are in registers.
void emitPanelProduct(mlir::linalg::LinalgOp op, int64_t vectorBytes,
                      int64_t vectorRegisters);
} // namespace fulgur
