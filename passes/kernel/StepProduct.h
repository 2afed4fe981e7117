// The product of a loop over time: in every step, of the few rows of a state
// with the same weights.
#pragma once
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace fulgur {
struct StepProduct {
  mlir::linalg::LinalgOp op; ///< [rows, depth] · [columns, depth]ᵀ, of f32
  mlir::BlockArgument weights;

  /// The width of the panels of columns that its weights are packed into.
  static constexpr int64_t kPack = 64;

  /// Makes it a product with panels, [columns / kPack, depth, kPack], now that
  /// the weights are such.
  void readPanels();
};

/// `op` as one, if it stands in a loop of the kernel and nothing else reads its
/// weights, which are a constant.
std::optional<StepProduct> matchStepProduct(KernelOp kernel,
                                            mlir::Operation *op);
} // namespace fulgur
