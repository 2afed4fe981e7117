// Fuses chains of elementwise operations into one loop each, and moves reshapes
// out of their way.
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/graph/RaiseOverInterleavings.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FUSEELEMENTWISE
#include "passes/Passes.h.inc"

namespace {

/// Cheap enough to be computed again by every consumer: it only moves, casts or
/// compares.
bool isCheap(linalg::GenericOp op) {
  return llvm::all_of(op.getBody()->without_terminator(),
                      [](Operation &inside) {
                        return inside.hasTrait<OpTrait::ConstantLike>() ||
                               isa<CastOpInterface, arith::CmpIOp,
                                   arith::CmpFOp, linalg::IndexOp>(inside);
                      });
}

bool shouldFuse(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer)
    return false;
  // Products and convolutions read each element many times.
  if (!linalg::isElementwise(consumer) &&
      (linalg::isaContractionOpInterface(consumer) ||
       linalg::isaConvolutionOpInterface(consumer) ||
       consumer.getNumReductionLoops() == consumer.getNumLoops()))
    return false;
  // An element read several times along a broadcast is not computed several
  // times.
  AffineMap map = consumer.getMatchingIndexingMap(operand);
  if (map.getNumResults() < consumer.getNumLoops() ||
      llvm::any_of(map.getResults(), llvm::IsaPred<AffineConstantExpr>))
    return isCheap(producer);
  return producer->hasOneUse() || isCheap(producer);
}

/// A reshape of what an elementwise operation reads is moved to what it gives,
/// so that it can follow its producer.
bool shouldCollapse(OpOperand *operand) {
  Operation *producer = operand->get().getDefiningOp();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!isa_and_nonnull<tensor::ExpandShapeOp>(producer) ||
      !producer->hasOneUse() || !consumer || !linalg::isElementwise(consumer))
    return false;
  auto source = producer->getOperand(0).getDefiningOp<linalg::LinalgOp>();
  return source && source->hasOneUse() &&
         (linalg::isaContractionOpInterface(source) ||
          linalg::isElementwise(source));
}

struct FuseElementwise : impl::FuseElementwiseBase<FuseElementwise> {
  /// Upstream's patterns ask tensors for their dims; sizes are arithmetic on
  /// symbols here. Returns whether there were any that could be told.
  bool resolveDims() {
    bool resolved = false;
    getOperation().walk([&](tensor::DimOp dim) {
      OpBuilder builder(dim);
      auto dims = dimsOf(builder, dim.getSource());
      std::optional<int64_t> index = dim.getConstantIndex();
      if (failed(dims) || !index)
        return;
      dim.replaceAllUsesWith(getValueOrCreateConstantIndexOp(
          builder, dim.getLoc(), (*dims)[*index]));
      dim.erase();
      resolved = true;
    });
    return resolved;
  }

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    linalg::populateFoldReshapeOpsByCollapsingPatterns(patterns,
                                                       shouldCollapse);
    linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
    populateRaiseOverInterleavings(patterns);
    linalg::populateConstantFoldLinalgOperations(
        patterns, [](OpOperand *operand) {
          auto type = dyn_cast<RankedTensorType>(operand->get().getType());
          return type && type.hasStaticShape() && type.getNumElements() <= 4096;
        });
    linalg::GenericOp::getCanonicalizationPatterns(patterns, &getContext());
    linalg::FillOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns,
                                                         &getContext());
    tensor::EmptyOp::getCanonicalizationPatterns(patterns, &getContext());
    GreedyRewriteConfig config;
    config.setUseTopDownTraversal(true);
    // A question for the dim of a result is a use of it, and keeps it from
    // fusing until it is resolved.
    FrozenRewritePatternSet frozen(std::move(patterns));
    do {
      if (failed(applyPatternsGreedily(getOperation(), frozen, config)))
        return signalPassFailure();
    } while (resolveDims());
  }
};
} // namespace
} // namespace fulgur
