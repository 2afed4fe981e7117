#include "passes/graph/RaiseOverInterleavings.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "passes/Interleaving.h"

using namespace mlir;
using namespace fulgur;

/// Whether `part` has all elements along the dim.
static bool isWhole(tensor::InsertSliceOp part, unsigned dim) {
  return isConstantIntValue(part.getMixedOffsets()[dim], 0) &&
         isConstantIntValue(part.getMixedStrides()[dim], 1) &&
         part.getSourceType().getDimSize(dim) == part.getType().getDimSize(dim);
}

namespace {
struct RaiseOverInterleaving : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::GenericOp loop,
                                PatternRewriter &rewriter) const override {
    if (loop->getNumResults() != 1 || !linalg::isElementwise(loop) ||
        !loop.getIndexingMapsArray().back().isIdentity() ||
        !loop.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() ||
        llvm::any_of(loop.getBody()->getOperations(), [](Operation &op) {
          return isa<linalg::IndexOp, tensor::ExtractOp>(op);
        }))
      return failure();
    for (OpOperand *input : loop.getDpsInputOperands()) {
      SmallVector<tensor::InsertSliceOp> parts = interleavedParts(input->get());
      if (!parts.empty() && isSameForAll(loop, input, parts)) {
        raise(loop, input, parts, rewriter);
        return success();
      }
    }
    return failure();
  }

private:
  /// Whether the loop reads nothing along the dims that parts share but
  /// `input`, which nobody else reads.
  static bool isSameForAll(linalg::GenericOp loop, OpOperand *input,
                           ArrayRef<tensor::InsertSliceOp> parts) {
    if (!loop.getMatchingIndexingMap(input).isIdentity())
      return false;
    for (OpOperand *other : loop.getDpsInputOperands())
      for (AffineExpr at : loop.getMatchingIndexingMap(other).getResults()) {
        auto dim = dyn_cast<AffineDimExpr>(at);
        if (other != input && dim &&
            llvm::any_of(parts, [&](tensor::InsertSliceOp part) {
              return !isWhole(part, dim.getPosition());
            }))
          return false;
      }
    return true;
  }

  static void raise(linalg::GenericOp loop, OpOperand *input,
                    ArrayRef<tensor::InsertSliceOp> parts,
                    PatternRewriter &rewriter) {
    Type element = getElementTypeOrSelf(loop.getResult(0).getType());
    Value whole = loop.getDpsInits()[0];
    for (tensor::InsertSliceOp part : llvm::reverse(parts)) {
      SmallVector<Value> inputs(loop.getDpsInputs());
      inputs[input->getOperandNumber()] = part.getSource();
      SmallVector<OpFoldResult> sizes;
      for (auto [size, known] :
           llvm::zip(part.getMixedSizes(), part.getSourceType().getShape()))
        sizes.push_back(
            ShapedType::isDynamic(known) ? size : rewriter.getIndexAttr(known));
      Value init =
          tensor::EmptyOp::create(rewriter, loop.getLoc(), sizes, element);
      auto raised = linalg::GenericOp::create(
          rewriter, loop.getLoc(), init.getType(), inputs, init,
          loop.getIndexingMapsArray(), loop.getIteratorTypesArray());
      rewriter.cloneRegionBefore(loop.getRegion(), raised.getRegion(),
                                 raised.getRegion().end());
      whole = tensor::InsertSliceOp::create(
          rewriter, part.getLoc(), raised.getResult(0), whole,
          part.getMixedOffsets(), part.getMixedSizes(), part.getMixedStrides());
    }
    rewriter.replaceOp(loop, whole);
  }
};
} // namespace

void fulgur::populateRaiseOverInterleavings(RewritePatternSet &patterns) {
  patterns.add<RaiseOverInterleaving>(patterns.getContext());
}
