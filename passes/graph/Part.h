// Parts of tensors: consecutive places along some of their dims, such as the
// first row of each image.
#pragma once
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Builders.h"

namespace fulgur {
/// `size` of `extent` places, from `offset` on.
struct Run {
  mlir::OpFoldResult extent, offset, size;
  bool isWhole() const;
};

/// What is taken of one dim: all of it when there is no run. A dim that stands
/// for several, such as the rows of all images, has a run of each, the outer
/// one first.
using DimPart = llvm::SmallVector<Run, 1>;
using Part = llvm::SmallVector<DimPart>;

bool isWhole(llvm::ArrayRef<DimPart> part);
bool isSame(const DimPart &a, const DimPart &b);
bool isSame(llvm::ArrayRef<DimPart> a, llvm::ArrayRef<DimPart> b);

/// Whether it is no more than half of the tensor for sure, as far as sizes are
/// known: where little is saved, the slices of operands may cost more.
bool isSmall(llvm::ArrayRef<DimPart> part);

/// How many places of a dim are in a part; `whole` is all of them.
mlir::OpFoldResult sizeOf(mlir::OpBuilder &builder, mlir::Location loc,
                          const DimPart &part, mlir::OpFoldResult whole);

/// Which part of its source `part` of an expand_shape to `dims` is.
Part beforeExpand(llvm::ArrayRef<DimPart> part,
                  llvm::ArrayRef<mlir::ReassociationIndices> groups,
                  llvm::ArrayRef<mlir::OpFoldResult> dims);

/// Which part of its source, which has `dims`, `part` of a collapse_shape is;
/// nothing when it cannot be told along these dims.
std::optional<Part>
beforeCollapse(llvm::ArrayRef<DimPart> part,
               llvm::ArrayRef<mlir::ReassociationIndices> groups,
               llvm::ArrayRef<mlir::OpFoldResult> dims);

/// A slice of `tensor`, whose dims are known.
mlir::Value extract(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value tensor, llvm::ArrayRef<DimPart> part);
} // namespace fulgur
