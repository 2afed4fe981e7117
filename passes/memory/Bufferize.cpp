// One-shot bufferization of everything but the bodies of kernels, which stay on
// tensors as the specification of their loops.
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"
#include "passes/memory/BufferDims.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_BUFFERIZE
#include "passes/Passes.h.inc"

namespace {

/// The buffer that `value` is a reshape of, and the buffer itself where it is
/// none.
Value reshaped(Value value) {
  while (isa_and_nonnull<memref::ExpandShapeOp, memref::CollapseShapeOp>(
      value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

/// Whether `op` is a kernel that is done. Bufferization would take it for one
/// that is not, because of the tensors in its body, whenever it comes to stand
/// where in memory an operation was that is still on its list.
bool isOnBuffers(Operation *op) {
  return isa<KernelOp>(op) &&
         llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>) &&
         op->getNumResults() == 0;
}

/// Gives every destination an empty tensor of its own. Equal ones have become
/// one, and their buffer would be in use from the first kernel that writes it
/// to the last one that reads it, also in between where nothing is in it.
void separateDestinations(ModuleOp module) {
  SmallVector<KernelOp> kernels;
  module.walk([&](KernelOp kernel) {
    if (!kernel->getParentOfType<KernelOp>())
      kernels.push_back(kernel);
  });
  for (KernelOp kernel : kernels)
    for (OpOperand &out : kernel.getOutsMutable())
      if (auto empty = out.get().getDefiningOp<tensor::EmptyOp>();
          empty && !empty->hasOneUse()) {
        OpBuilder builder(kernel);
        out.set(builder.clone(*empty)->getResult(0));
      }
}

/// The copy of a buffer asks the buffer for its dims; what is planned asks for
/// the sizes that the buffer was made with.
void resolveDims(ModuleOp module) {
  module.walk([](memref::DimOp op) {
    OpBuilder builder(op);
    auto dims = bufferDims(builder, op.getSource());
    if (failed(dims) || !op.getConstantIndex())
      return;
    op.replaceAllUsesWith(getValueOrCreateConstantIndexOp(
        builder, op.getLoc(), (*dims)[*op.getConstantIndex()]));
    op.erase();
  });
}

struct Bufferize : impl::BufferizeBase<Bufferize> {
  void runOnOperation() override {
    separateDestinations(getOperation());
    bufferization::OneShotBufferizationOptions options;
    options.opFilter.denyOperation([](Operation *op) {
      return op->getParentOfType<KernelOp>() || isOnBuffers(op);
    });
    bufferization::BufferizationState state;
    if (failed(
            bufferization::runOneShotBufferize(getOperation(), options, state)))
      return signalPassFailure();
    // What was computed in place, seen through reshapes, is not copied onto
    // itself.
    getOperation().walk([](memref::CopyOp copy) {
      if (reshaped(copy.getSource()) == reshaped(copy.getTarget()))
        copy.erase();
    });
    resolveDims(getOperation());
  }
};
} // namespace
} // namespace fulgur
