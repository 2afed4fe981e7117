// Reshapes of contiguous buffers become reinterpretations with other sizes.
// (Upstream's expand-strided-metadata handles strided buffers, but only one
// dynamic size for each group of dims.)
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Dims.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_LOWERRESHAPES
#include "passes/Passes.h.inc"

namespace {
struct LowerReshapes : impl::LowerReshapesBase<LowerReshapes> {
  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      if (!isa<memref::ExpandShapeOp, memref::CollapseShapeOp>(op))
        return;
      auto source = cast<MemRefType>(op->getOperand(0).getType()),
           result = cast<MemRefType>(op->getResult(0).getType());
      if (!source.getLayout().isIdentity() || !result.getLayout().isIdentity())
        return;
      OpBuilder b(op);
      Location loc = op->getLoc();
      SmallVector<OpFoldResult> sizes;
      if (auto expand = dyn_cast<memref::ExpandShapeOp>(op))
        sizes = expand.getMixedOutputShape();
      else
        sizes = collapseDims(
            b, loc, memref::getMixedSizes(b, loc, op->getOperand(0)),
            cast<memref::CollapseShapeOp>(op).getReassociationIndices());
      SmallVector<OpFoldResult> strides(sizes.size());
      OpFoldResult stride = b.getIndexAttr(1);
      for (size_t k = sizes.size(); k-- > 0;) {
        strides[k] = stride;
        stride = multiply(b, loc, stride, sizes[k]);
      }
      // A size or stride that the type knows has to be given as a constant.
      auto [typeStrides, offset] = result.getStridesAndOffset();
      for (size_t k = 0; k < sizes.size(); ++k) {
        if (!result.isDynamicDim(k))
          sizes[k] = b.getIndexAttr(result.getDimSize(k));
        if (!ShapedType::isDynamic(typeStrides[k]))
          strides[k] = b.getIndexAttr(typeStrides[k]);
      }
      Value view = memref::ReinterpretCastOp::create(
          b, loc, result, op->getOperand(0), b.getIndexAttr(0), sizes, strides);
      op->getResult(0).replaceAllUsesWith(view);
      op->erase();
    });
  }
};
} // namespace
} // namespace fulgur
