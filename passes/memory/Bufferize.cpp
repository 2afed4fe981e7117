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

struct Bufferize : impl::BufferizeBase<Bufferize> {
  void runOnOperation() override {
    bufferization::OneShotBufferizationOptions options;
    options.opFilter.denyOperation([](Operation *op) {
      return op->getParentOfType<KernelOp>() != nullptr;
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
