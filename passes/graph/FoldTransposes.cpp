// Makes transposes disappear into the products around them.
//
//   product(transpose(a), b)  = product'(a, b)          by a permuted map
//   transpose(product(a, b))  = product'(a, b)          by one of the result
//   transpose(collapse(x))    = collapse(transpose(x))  reshapes cancel
//   f(transpose(x), scalars)  = transpose(f(x, scalars))
//   slice(transpose(x))       = transpose(slice(x))
//
// Exporters put q, k and v through reshape, transpose and a scaling before the
// products of attention; afterwards the products read the projections' results
// where they lie.
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Dims.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDTRANSPOSES
#include "passes/Passes.h.inc"

namespace {

bool isProduct(linalg::LinalgOp op) {
  return op.hasPureTensorSemantics() && linalg::isaContractionOpInterface(op);
}

/// `op` as a linalg.generic with other inputs, result type and maps, and the
/// same body.
linalg::GenericOp withMaps(RewriterBase &rewriter, linalg::LinalgOp op,
                           ValueRange inputs, Value init,
                           ArrayRef<AffineMap> maps) {
  auto generic =
      linalg::GenericOp::create(rewriter, op.getLoc(), init.getType(), inputs,
                                init, maps, op.getIteratorTypesArray());
  rewriter.cloneRegionBefore(op->getRegion(0), generic.getRegion(),
                             generic.getRegion().end());
  return generic;
}

/// Reading `transpose(x)` at (i0, i1, ...) is reading x at these indices in x's
/// order.
AffineMap throughTranspose(AffineMap map, ArrayRef<int64_t> permutation) {
  SmallVector<AffineExpr> exprs(map.getNumResults());
  for (auto [i, from] : llvm::enumerate(permutation))
    exprs[from] = map.getResult(i);
  return AffineMap::get(map.getNumDims(), 0, exprs, map.getContext());
}

struct FoldIntoOperand : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (!isProduct(op))
      return rewriter.notifyMatchFailure(op, "is no product");
    SmallVector<Value> inputs = op.getDpsInputs();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    bool changed = false;
    for (auto [i, input] : llvm::enumerate(inputs))
      if (auto transpose = input.getDefiningOp<linalg::TransposeOp>()) {
        maps[i] = throughTranspose(maps[i], transpose.getPermutation());
        input = transpose.getInput();
        changed = true;
      }
    if (!changed)
      return rewriter.notifyMatchFailure(op, "has no transposed operand");
    rewriter.replaceOp(op,
                       withMaps(rewriter, op, inputs, op.getDpsInits()[0], maps)
                           ->getResults());
    return success();
  }
};

struct FoldIntoResult : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp transpose,
                                PatternRewriter &rewriter) const override {
    auto product = transpose.getInput().getDefiningOp<linalg::LinalgOp>();
    if (!product || !isProduct(product) || !product->hasOneUse() ||
        !transpose.getInit().getDefiningOp<tensor::EmptyOp>())
      return rewriter.notifyMatchFailure(transpose,
                                         "is not of a product of its own");
    auto fill = product.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
    if (!fill)
      return rewriter.notifyMatchFailure(transpose,
                                         "the product adds to a tensor");
    SmallVector<AffineMap> maps = product.getIndexingMapsArray();
    AffineMap out = maps.back();
    SmallVector<AffineExpr> exprs;
    for (int64_t from : transpose.getPermutation())
      exprs.push_back(out.getResult(from));
    maps.back() = AffineMap::get(out.getNumDims(), 0, exprs, out.getContext());
    // The destination's dims are known where the transpose stands, which the
    // product may precede.
    Value init = linalg::FillOp::create(rewriter, product.getLoc(),
                                        fill.value(), transpose.getInit())
                     .getResult(0);
    rewriter.replaceOp(transpose, withMaps(rewriter, product,
                                           product.getDpsInputs(), init, maps)
                                      ->getResults());
    return success();
  }
};

/// Moves a transpose below an elementwise operation whose other operands are
/// scalars.
struct SinkBelowElementwise : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op,
                                PatternRewriter &rewriter) const override {
    if (!linalg::isElementwise(op) || op.getNumResults() != 1 ||
        !op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    linalg::TransposeOp transpose;
    SmallVector<Value> inputs = op.getDpsInputs();
    for (auto [input, map] : llvm::zip(inputs, op.getIndexingMapsArray())) {
      if (map.getNumResults() == 0 ||
          llvm::all_of(map.getResults(), llvm::IsaPred<AffineConstantExpr>))
        continue;
      auto producer = input.getDefiningOp<linalg::TransposeOp>();
      if (!producer || transpose || !map.isIdentity() || !producer->hasOneUse())
        return rewriter.notifyMatchFailure(op, "has another operand");
      transpose = producer;
      input = producer.getInput();
    }
    if (!transpose)
      return rewriter.notifyMatchFailure(op, "has no transposed operand");
    for (Operation &inside : *op.getBody())
      if (isa<linalg::IndexOp>(inside))
        return rewriter.notifyMatchFailure(op, "uses its indices");
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    auto empty = op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
    SmallVector<OpFoldResult> sizes = empty.getMixedSizes(),
                              sourceSizes(sizes.size());
    for (auto [i, from] : llvm::enumerate(permutation))
      sourceSizes[from] = sizes[i];
    Type element = getElementTypeOrSelf(op.getResult(0).getType());
    Value init =
        tensor::EmptyOp::create(rewriter, op.getLoc(), sourceSizes, element);
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    linalg::GenericOp moved = withMaps(rewriter, op, inputs, init, maps);
    rewriter.replaceOpWithNewOp<linalg::TransposeOp>(op, moved.getResult(0),
                                                     empty, permutation);
    return success();
  }
};

/// transpose(collapse(x)) = collapse(transpose(x)): groups of dims move as a
/// whole.
struct SinkCollapse : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::TransposeOp transpose,
                                PatternRewriter &rewriter) const override {
    auto collapse =
        transpose.getInput().getDefiningOp<tensor::CollapseShapeOp>();
    if (!collapse || !collapse->hasOneUse())
      return rewriter.notifyMatchFailure(transpose,
                                         "is not of a collapse of its own");
    FailureOr<SmallVector<OpFoldResult>> dims =
        dimsOf(rewriter, collapse.getSrc());
    if (failed(dims))
      return rewriter.notifyMatchFailure(transpose,
                                         "of dims that are not known");
    SmallVector<ReassociationIndices> groups =
                                          collapse.getReassociationIndices(),
                                      moved;
    SmallVector<int64_t> permutation;
    SmallVector<OpFoldResult> sizes;
    for (int64_t from : transpose.getPermutation()) {
      moved.emplace_back();
      for (int64_t dim : groups[from]) {
        moved.back().push_back(permutation.size());
        permutation.push_back(dim);
        sizes.push_back((*dims)[dim]);
      }
    }
    Value init =
        tensor::EmptyOp::create(rewriter, transpose.getLoc(), sizes,
                                collapse.getSrcType().getElementType());
    Value result =
        linalg::TransposeOp::create(rewriter, transpose.getLoc(),
                                    collapse.getSrc(), init, permutation)
            ->getResult(0);
    rewriter.replaceOpWithNewOp<tensor::CollapseShapeOp>(
        transpose, transpose->getResult(0).getType(), result, moved);
    return success();
  }
};

/// slice(transpose(x)) = transpose(slice(x)), where slices are all that is
/// read: queries, keys and values that were transposed together.
struct RaiseSlice : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExtractSliceOp slice,
                                PatternRewriter &rewriter) const override {
    auto transpose = slice.getSource().getDefiningOp<linalg::TransposeOp>();
    if (!transpose || slice.getDroppedDims().any())
      return rewriter.notifyMatchFailure(slice, "is not of a transpose");
    int64_t read = 0;
    for (Operation *user : transpose->getUsers()) {
      auto other = dyn_cast<tensor::ExtractSliceOp>(user);
      if (!other || !other.getType().hasStaticShape())
        return rewriter.notifyMatchFailure(slice, "is not all that is read");
      read += other.getType().getNumElements();
    }
    auto type = cast<RankedTensorType>(transpose->getResult(0).getType());
    if (!type.hasStaticShape() || read > type.getNumElements())
      return rewriter.notifyMatchFailure(slice, "overlaps with others");
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    SmallVector<int64_t> back = invertPermutationVector(permutation);
    Value part = tensor::ExtractSliceOp::create(
        rewriter, slice.getLoc(), transpose.getInput(),
        applyPermutation(slice.getMixedOffsets(), back),
        applyPermutation(slice.getMixedSizes(), back),
        applyPermutation(slice.getMixedStrides(), back));
    Value init = tensor::EmptyOp::create(rewriter, transpose.getLoc(),
                                         slice.getType().getShape(),
                                         type.getElementType());
    rewriter.replaceOpWithNewOp<linalg::TransposeOp>(slice, part, init,
                                                     permutation);
    return success();
  }
};

struct FoldTransposes : impl::FoldTransposesBase<FoldTransposes> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldIntoOperand, FoldIntoResult, SinkBelowElementwise,
                 SinkCollapse, RaiseSlice>(&getContext());
    tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns, &getContext());
    tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns,
                                                         &getContext());
    linalg::TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace fulgur
