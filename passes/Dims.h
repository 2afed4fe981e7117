// The sizes of a tensor as values that exist before the tensor does: constants
// and arithmetic on symbolic dims.
#pragma once
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace fulgur {
/// The dims of `tensor`, found by walking to the operation that gave it its
/// shape. Index arithmetic is created at the builder's insertion point, where
/// `tensor` may not be computed yet. Fails where the shape is only known at run
/// time.
mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>>
dimsOf(mlir::OpBuilder &builder, mlir::Value tensor);

/// Whether a size is known only while running: it is computed from a
/// fulgur.bounded, or from what is in memory.
bool dependsOnData(mlir::Value size);

/// The same for many sizes of a function that stays as it is: each is looked at
/// once.
class DataDependence {
public:
  bool operator()(mlir::Value size);

private:
  llvm::DenseMap<mlir::Value, bool> known;
};

/// x * y, folded where both are constants or one is 1.
mlir::OpFoldResult multiply(mlir::OpBuilder &builder, mlir::Location loc,
                            mlir::OpFoldResult x, mlir::OpFoldResult y);

/// The dims that are left when each group of neighbouring dims becomes one.
llvm::SmallVector<mlir::OpFoldResult>
collapseDims(mlir::OpBuilder &builder, mlir::Location loc,
             llvm::ArrayRef<mlir::OpFoldResult> dims,
             llvm::ArrayRef<mlir::ReassociationIndices> groups);

/// The dynamic ones among `dims`, as operands for tensor.empty and the like.
llvm::SmallVector<mlir::Value>
dynamicDims(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type,
            llvm::ArrayRef<mlir::OpFoldResult> dims);
} // namespace fulgur
