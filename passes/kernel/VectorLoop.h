// The innermost loop of an elementwise operation on vectors. LLVM's vectoriser
// has to prove, or to check while running, that what is written is not what is
// read; an operation says so.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace fulgur {
class VectorLoop {
public:
  /// Of `op`, which is on buffers, along its loop `innermost`.
  VectorLoop(mlir::linalg::LinalgOp op, unsigned innermost, int64_t lanes)
      : op(op), innermost(innermost), lanes(lanes) {}

  /// Whether the operation has such a loop: all loops are parallel, and every
  /// operand, and every table that the body reads, is either contiguous along
  /// this one or the same.
  bool exists();

  /// Computes the elements whose indices begin with `index`.
  void emit(mlir::OpBuilder &builder, llvm::ArrayRef<mlir::Value> index);

private:
  mlir::linalg::LinalgOp op;
  unsigned innermost;
  int64_t lanes;

  bool isAlong(mlir::AffineExpr expr) {
    auto dim = llvm::dyn_cast<mlir::AffineDimExpr>(expr);
    return dim && dim.getPosition() == innermost;
  }
  bool isAlong(mlir::Value index) {
    auto number = index.getDefiningOp<mlir::linalg::IndexOp>();
    return number && number.getDim() == innermost;
  }
  bool hasVectors(mlir::Type buffer);
};
} // namespace fulgur
