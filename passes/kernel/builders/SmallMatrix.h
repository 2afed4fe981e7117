// Products of small matrices of constants with values, such as Winograd's.
#pragma once
#include "passes/kernel/builders/Emitter.h"

namespace fulgur {
/// matrix · values, which are numbers or vectors of them; the matrix is its
/// rows one after the other. Neighbouring rows of floats that differ in some
/// signs only share what they have in common, as do neighbouring columns.
llvm::SmallVector<mlir::Value>
multiplySmall(Emitter &e, llvm::ArrayRef<double> matrix,
              llvm::ArrayRef<mlir::Value> values);

/// Applies `transform` to all columns and then to all rows of a square matrix.
llvm::SmallVector<mlir::Value>
onBothSides(llvm::ArrayRef<mlir::Value> matrix, int64_t size,
            llvm::function_ref<
                llvm::SmallVector<mlir::Value>(llvm::ArrayRef<mlir::Value>)>
                transform);
} // namespace fulgur
