// Which operations of @main become one kernel.
#pragma once
#include "mlir/IR/Operation.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"

namespace fulgur {
/// What keeps its sums in registers until they are complete.
bool isAccumulation(mlir::Operation *op);
bool isRowOperation(mlir::Operation *op);
/// Whether `value` is a state, perhaps with more inserted already.
bool isState(mlir::Value value);
/// The operands of `op`, and what its regions use of the outside.
llvm::SetVector<mlir::Value> valuesUsedBy(mlir::Operation *op);

/// A group is one root (a product, a row operation, an elementwise loop, a
/// movement of data ...), the fills and copies that only prepare its
/// destination, the elementwise producer of a row operation, the elementwise
/// consumer of a product or convolution, the padding of a convolution or pool,
/// the loop whose results are inserted, the insertion of a convolution's
/// result, so that several kernels write parts of one tensor, and that of
/// earlier keys and values in front of the new ones.
struct KernelGroups {
  /// The group of `root`, in the order of the block, without what is `taken` by
  /// others. What others read as well is cloned where that is cheap.
  llvm::SmallVector<mlir::Operation *>
  of(mlir::Operation *root, const llvm::SetVector<mlir::Operation *> &taken);

  /// Looks at what is put together in `block`. Kernels of convolutions write
  /// their parts of it where that spares at least half of the copying: kernels
  /// that write into different tensors are different functions, and those of a
  /// network that appends few channels at a time would all be.
  void findParts(mlir::Block &block);

  /// Insertions that kernels of convolutions do.
  llvm::DenseSet<mlir::Operation *> parts;
  /// Made for one group each: they go with the operations that use them.
  llvm::SmallVector<mlir::Operation *> clones;
  /// Reshapes that are in kernels now.
  llvm::SmallVector<mlir::Operation *> views;
};
} // namespace fulgur
