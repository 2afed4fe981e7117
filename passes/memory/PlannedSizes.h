// Index arithmetic of @main where it is not run: as a number, in another
// function, as an upper bound.
#pragma once
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "passes/Dims.h"

namespace fulgur {
/// Computes index arithmetic for a typical size of the module's symbols.
class TypicalSizes {
public:
  explicit TypicalSizes(mlir::ModuleOp module);
  int64_t operator()(mlir::Value value);

private:
  int64_t compute(mlir::Value value);

  llvm::StringMap<int64_t> sizes; ///< by symbol
  llvm::DenseMap<mlir::Value, int64_t> known;
};

/// Sizes of a function that stays as it is, computed once more elsewhere.
class PlannedSizes {
public:
  /// Clones the computation of `value`; of run-time sizes that of their upper
  /// bounds. Null where it is no function of symbols. Quotients by symbols have
  /// no effects either: sizes are never divided by 0.
  mlir::Value rebuild(mlir::Value value, mlir::OpBuilder &builder,
                      mlir::IRMapping &mapping);
  /// What `rebuild` computes, as a double, which does not wrap around.
  mlir::Value estimate(mlir::Value value, mlir::OpBuilder &builder,
                       mlir::IRMapping &mapping);
  bool dependOnData(mlir::Value value) { return dependsOnData(value); }

private:
  mlir::Value bound(mlir::Value value, bool upper, mlir::OpBuilder &b,
                    mlir::IRMapping &mapping);
  mlir::Value bound(mlir::AffineExpr expr, mlir::affine::AffineApplyOp apply,
                    bool upper, mlir::OpBuilder &b, mlir::IRMapping &mapping);
  mlir::Value estimate(mlir::Value value, mlir::OpBuilder &b,
                       mlir::IRMapping &mapping,
                       llvm::DenseMap<mlir::Value, mlir::Value> &known);

  DataDependence dependsOnData;
};
} // namespace fulgur
