// Reshapes of contiguous buffers, and splits of dims of slices, become
// reinterpretations with other sizes. (Upstream's expand-strided-metadata
// handles only one dynamic size for each group of dims.)
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
      OpBuilder b(op);
      auto source = cast<MemRefType>(op->getOperand(0).getType()),
           result = cast<MemRefType>(op->getResult(0).getType());
      if (source.getLayout().isIdentity() && result.getLayout().isIdentity())
        replaceContiguous(b, op);
      else if (auto expand = dyn_cast<memref::ExpandShapeOp>(op))
        replaceStrided(b, expand);
      else
        return;
      op->erase();
    });
  }

private:
  static void replaceContiguous(OpBuilder &b, Operation *op) {
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
    replace(b, op, op->getOperand(0), b.getIndexAttr(0), sizes, strides);
  }

  /// The dims of a slice are split like those of the whole.
  static void replaceStrided(OpBuilder &b, memref::ExpandShapeOp expand) {
    Location loc = expand.getLoc();
    auto from =
        memref::ExtractStridedMetadataOp::create(b, loc, expand.getSrc());
    SmallVector<OpFoldResult> given = from.getConstifiedMixedStrides(),
                              sizes = expand.getMixedOutputShape(),
                              strides(sizes.size());
    for (auto [dim, group] : llvm::enumerate(expand.getReassociationIndices()))
      for (int64_t part : llvm::reverse(group)) {
        strides[part] = given[dim];
        given[dim] = multiply(b, loc, given[dim], sizes[part]);
      }
    replace(b, expand, from.getBaseBuffer(), from.getConstifiedMixedOffset(),
            sizes, strides);
  }

  static void replace(OpBuilder &b, Operation *op, Value buffer,
                      OpFoldResult offset, MutableArrayRef<OpFoldResult> sizes,
                      MutableArrayRef<OpFoldResult> strides) {
    // A size or stride that the type knows has to be given as a constant.
    auto result = cast<MemRefType>(op->getResult(0).getType());
    auto [typeStrides, typeOffset] = result.getStridesAndOffset();
    for (size_t k = 0; k < sizes.size(); ++k) {
      if (!result.isDynamicDim(k))
        sizes[k] = b.getIndexAttr(result.getDimSize(k));
      if (!ShapedType::isDynamic(typeStrides[k]))
        strides[k] = b.getIndexAttr(typeStrides[k]);
    }
    Value view = memref::ReinterpretCastOp::create(
        b, op->getLoc(), result, buffer, offset, sizes, strides);
    op->getResult(0).replaceAllUsesWith(view);
  }
};
} // namespace
} // namespace fulgur
