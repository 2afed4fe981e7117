// What a kernel's body reads through slices: nothing is copied, the elements
// are where those of the kernel's operand are.
#pragma once
#include "passes/kernel/builders/Elementwise.h"

namespace fulgur {
/// Whether `op` gives the elements of its operand as they lie in memory, up to
/// distances between them: a slice of neighbours, or a reshape that only splits
/// dims or drops those of size 1.
bool isViewOperation(mlir::Operation *op);

/// Whether `value`, from the body of a kernel, is an argument, perhaps seen
/// through view operations whose sizes are arguments or constants.
bool isView(mlir::Value value);

/// Where the elements of a view are: element (i0, i1, ...) is at
/// base + i0 * strides[0] + i1 * strides[1] + ... of `flat`.
struct View {
  mlir::Value flat, base; ///< no base: 0
  llvm::SmallVector<mlir::Value> sizes, strides;

  /// The access whose dim p is moved by loop `loops[p]` (-1: it stays at 0),
  /// among `count` loops.
  Access access(llvm::ArrayRef<int> loops, unsigned count) const;
};
View viewOf(Emitter &e, const KernelSite &site, mlir::Value value);
} // namespace fulgur
