// A part of a strided matrix, brought into contiguous memory.
#pragma once
#include "passes/kernel/builders/Emitter.h"

namespace fulgur {
/// Elements of a buffer in rows and columns; a null step stays in place.
struct Matrix {
  mlir::Value flat, position, rowStep, columnStep;
  mlir::Value rows, columns;

  mlir::Value at(Emitter &e, mlir::Value row, mlir::Value column) const;
};

/// The type in which a tile holds elements of `type`: booleans are bytes.
mlir::Type tileType(mlir::Type type);

/// Copies `from` to a tile whose rows are `width` columns long, a multiple of
/// `lanes`. What does not exist in a row repeats the last column or is 0; the
/// tile has to have room for the next multiple of `lanes` of rows. `change` is
/// applied to vectors on their way.
void copyTile(Emitter &e, const Matrix &from, mlir::Value to, int64_t stride,
              int64_t width, int64_t lanes,
              llvm::function_ref<mlir::Value(mlir::Value)> change = nullptr);
} // namespace fulgur
