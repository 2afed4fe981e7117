// One-shot bufferization of everything but the bodies of kernels, which stay on
// tensors as the specification of their loops.
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Transforms.h"
#include "passes/Passes.h"

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

struct Bufferize : impl::BufferizeBase<Bufferize> {
  void runOnOperation() override {
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
  }
};
} // namespace
} // namespace fulgur
