#include "passes/kernel/HoistIndices.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace fulgur;

/// Whether nothing in the function writes what `memref`, or a view of it, is.
static bool isOnlyRead(Value memref) {
  return llvm::all_of(memref.getUsers(), [](Operation *user) {
    if (isa<ViewLikeOpInterface>(user))
      return isOnlyRead(user->getResult(0));
    return isa<memref::LoadOp, vector::LoadOp, memref::DimOp>(user);
  });
}

/// The argument of `kernel` that `memref` is a view of, if it is one.
static Value argumentOf(Value memref, func::FuncOp kernel) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  auto argument = dyn_cast<BlockArgument>(memref);
  return argument && argument.getOwner()->getParentOp() == kernel ? memref
                                                                  : Value();
}

/// Adds to `moved` what has to stand in front of the loop for `op` to do so, in
/// order; fails if the loop moves something of it.
static bool collect(Operation *op, scf::ForOp loop,
                    llvm::SetVector<Operation *> &moved) {
  for (Value operand : op->getOperands()) {
    if (loop.isDefinedOutsideOfLoop(operand))
      continue;
    Operation *inner = operand.getDefiningOp();
    if (!inner || inner->getBlock() != loop.getBody() || !isPure(inner) ||
        !collect(inner, loop, moved))
      return false;
  }
  moved.insert(op);
  return true;
}

void fulgur::hoistIndices(func::FuncOp kernel) {
  SmallVector<memref::LoadOp> loads;
  kernel.walk([&](memref::LoadOp load) {
    if (!load.getType().isInteger() && !load.getType().isIndex())
      return;
    Value argument = argumentOf(load.getMemRef(), kernel);
    if (argument && isOnlyRead(argument))
      loads.push_back(load);
  });
  for (memref::LoadOp load : loads)
    while (auto loop = dyn_cast<scf::ForOp>(load->getParentOp())) {
      auto from = getConstantIntValue(loop.getLowerBound()),
           to = getConstantIntValue(loop.getUpperBound());
      llvm::SetVector<Operation *> moved;
      if (!from || !to || *from >= *to || !collect(load, loop, moved))
        break;
      for (Operation *op : moved)
        op->moveBefore(loop);
    }
}
