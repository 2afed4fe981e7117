// How fulgur operations become operations on buffers. A kernel writes each
// destination and reads only its inputs, so a destination never has to be
// copied, unless the kernel keeps what it does not write; its body stays on
// tensors, as the specification of the loops to come.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace fulgur;

namespace {
struct KernelInterface
    : DstBufferizableOpInterfaceExternalModel<KernelInterface, KernelOp> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    auto kernel = cast<KernelOp>(op);
    return kernel.getKeeps() || !kernel.isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto kernel = cast<KernelOp>(op);
    auto toBuffers = [&](OperandRange operands,
                         SmallVectorImpl<Value> &buffers) -> LogicalResult {
      for (Value operand : operands) {
        if (!isa<TensorType>(operand.getType())) {
          buffers.push_back(operand);
          continue;
        }
        FailureOr<Value> buffer = getBuffer(rewriter, operand, options, state);
        if (failed(buffer))
          return failure();
        // Kernels are shared between call sites, so they take contiguous
        // buffers only.
        auto type = cast<MemRefType>((*buffer).getType());
        if (!type.getLayout().isIdentity())
          return op->emitOpError("operand has a buffer with a layout");
        buffers.push_back(*buffer);
      }
      return success();
    };
    SmallVector<Value> inputs, outs;
    if (failed(toBuffers(kernel.getInputs(), inputs)) ||
        failed(toBuffers(kernel.getOuts(), outs)))
      return failure();
    auto onBuffers =
        KernelOp::create(rewriter, op->getLoc(), TypeRange(), inputs, outs,
                         kernel.getScheduleAttr(), kernel.getKeepsAttr());
    onBuffers.getBody().takeBody(kernel.getBody());
    replaceOpWithBufferizedValues(rewriter, op, outs);
    return success();
  }
};

struct CheckBoundsInterface
    : BufferizableOpInterface::ExternalModel<CheckBoundsInterface,
                                             CheckBoundsOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto check = cast<CheckBoundsOp>(op);
    FailureOr<Value> buffer =
        getBuffer(rewriter, check.getIndices(), options, state);
    if (failed(buffer))
      return failure();
    rewriter.modifyOpInPlace(
        op, [&] { check.getIndicesMutable().assign(*buffer); });
    return success();
  }
};
} // namespace

void fulgur::registerBufferization(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, FulgurDialect *) {
    KernelOp::attachInterface<KernelInterface>(*context);
    CheckBoundsOp::attachInterface<CheckBoundsInterface>(*context);
  });
}
