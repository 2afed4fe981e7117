// Multiplies weights instead of what they give: the scale that a batch
// normalization leaves behind a convolution or a product.
//
//   (conv(x, w) + b) · s + t   = conv(x, w · s) + (b · s + t)
//
// where s is one number for each filter. b and t become one constant.
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Convolution.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDSCALES
#include "passes/Passes.h.inc"

namespace {

/// One constant number for each filter.
using PerFilter = SmallVector<float>;

/// The dim of the weights, and of the result, that has no other operand: the
/// filters; or that of the channels of a depthwise convolution.
std::optional<std::pair<unsigned, unsigned>> filterDims(linalg::LinalgOp op) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  std::optional<std::pair<unsigned, unsigned>> found;
  for (auto [inWeights, expr] : llvm::enumerate(maps[1].getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim)
      return std::nullopt;
    const auto *inOut = llvm::find(maps[2].getResults(), expr);
    if (inOut == maps[2].getResults().end())
      continue;
    if (found)
      return std::nullopt;
    found = {inWeights, inOut - maps[2].getResults().begin()};
  }
  return found;
}

struct Scale {
  linalg::LinalgOp product;
  linalg::GenericOp loop; ///< that reads the product's result
  OpOperand *use;
  unsigned weightDim, resultDim;
  int64_t filters;
  AffineExpr at; ///< the filter in the loop

  /// The numbers that `value` in the loop's body is for each filter.
  std::optional<PerFilter> numbers(Value value) {
    FloatAttr scalar;
    if (matchPattern(value, m_Constant(&scalar)))
      return PerFilter(filters, scalar.getValue().convertToFloat());
    OpOperand *operand = operandOf(value);
    ElementsAttr attr;
    if (!operand || !matchPattern(operand->get(), m_Constant(&attr)) ||
        !attr.getElementType().isF32())
      return std::nullopt;
    for (AffineExpr expr : loop.getMatchingIndexingMap(operand).getResults())
      if (expr != at && !isa<AffineConstantExpr>(expr))
        return std::nullopt;
    ArrayRef<float> elements = weightFloats(attr);
    if (elements.size() == 1)
      return PerFilter(filters, elements[0]);
    if (int64_t(elements.size()) != filters)
      return std::nullopt;
    return PerFilter(elements);
  }

  /// The loop's input that `value` is an element of, or null.
  OpOperand *operandOf(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    if (!argument || argument.getOwner() != loop.getBody() ||
        argument.getArgNumber() >= loop.getNumDpsInputs())
      return nullptr;
    return loop.getDpsInputOperand(argument.getArgNumber());
  }
};

std::optional<Scale> scaleOf(linalg::LinalgOp op) {
  if (!isConvolution(op) && !linalg::isaContractionOpInterface(op))
    return std::nullopt;
  ElementsAttr weights;
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 ||
      !op->getResult(0).hasOneUse() ||
      !matchPattern(op.getDpsInputs()[1], m_Constant(&weights)) ||
      !weights.getElementType().isF32())
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
    return std::nullopt;
  OpOperand &use = *op->getResult(0).use_begin();
  auto loop = dyn_cast<linalg::GenericOp>(use.getOwner());
  auto dims = filterDims(op);
  if (!loop || loop.isDpsInit(&use) || isConvolution(loop) ||
      linalg::isaContractionOpInterface(loop) || !dims ||
      !loop.getMatchingIndexingMap(&use).isProjectedPermutation())
    return std::nullopt;
  return Scale{op,
               loop,
               &use,
               dims->first,
               dims->second,
               weights.getShapedType().getDimSize(dims->first),
               loop.getMatchingIndexingMap(&use).getResult(dims->second)};
}

/// The weights, each filter times its factor.
ElementsAttr scaled(ElementsAttr weights, unsigned dim,
                    ArrayRef<float> factors) {
  auto type = cast<RankedTensorType>(weights.getType());
  int64_t inner = 1;
  for (int64_t size : type.getShape().drop_front(dim + 1))
    inner *= size;
  ArrayRef<float> from = weightFloats(weights);
  if (from.empty())
    return {};
  return addWeight(type, "scaled", [&](MutableArrayRef<char> target) {
    auto *to = reinterpret_cast<float *>(target.data());
    for (int64_t k : llvm::seq(type.getNumElements()))
      to[k] = from[from.size() == 1 ? 0 : k] *
              factors[k / inner % int64_t(factors.size())];
  });
}

struct FoldScales : impl::FoldScalesBase<FoldScales> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) { products.push_back(op); });
    for (linalg::LinalgOp op : products)
      if (std::optional<Scale> scale = scaleOf(op))
        fold(*scale);
    if (sources.empty())
      return;
    for (Attribute source : sources)
      releaseWeight(cast<ElementsAttr>(source));
    sources.clear();
    // The scales are no operands any more.
    RewritePatternSet patterns(&getContext());
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

private:
  void fold(Scale &s) {
    // Through the loop's body, as long as it scales and shifts.
    PerFilter factors(s.filters, 1), shifts(s.filters, 0);
    Value value = s.loop.getMatchingBlockArgument(s.use);
    bool scales = false;
    while (value.hasOneUse()) {
      OpOperand &use = *value.use_begin();
      Operation *op = use.getOwner();
      if (!isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp>(op))
        break;
      bool isLeft = use.getOperandNumber() == 0;
      Value other = op->getOperand(isLeft ? 1 : 0);
      std::optional<PerFilter> numbers = s.numbers(other);
      if (!numbers || (!isLeft && isa<arith::SubFOp, arith::DivFOp>(op)))
        break;
      for (auto [factor, shift, number] :
           llvm::zip(factors, shifts, *numbers)) {
        if (isa<arith::AddFOp>(op))
          shift += number;
        else if (isa<arith::SubFOp>(op))
          shift -= number;
        else if (isa<arith::MulFOp>(op))
          factor *= number, shift *= number;
        else
          factor /= number, shift /= number;
      }
      // One number for all filters costs nothing where it is.
      scales |= isa<arith::MulFOp, arith::DivFOp>(op) && s.operandOf(other);
      value = op->getResult(0);
    }
    auto isFinite = [](float number) { return std::isfinite(number); };
    if (!scales || !llvm::all_of(factors, isFinite) ||
        !llvm::all_of(shifts, isFinite))
      return;
    OpOperand *operand = s.product.getDpsInputOperand(1);
    ElementsAttr weights;
    matchPattern(operand->get(), m_Constant(&weights));
    ElementsAttr result = scaled(weights, s.weightDim, factors);
    if (!result)
      return;
    sources.insert(weights);
    OpBuilder builder(s.product);
    operand->set(arith::ConstantOp::create(builder, operand->get().getLoc(),
                                           cast<TypedAttr>(result)));
    shift(s, value, shifts);
  }

  /// The loop again, with `value` of its body replaced by the sum of the
  /// product and `shifts`.
  static void shift(Scale &s, Value value, ArrayRef<float> shifts) {
    linalg::GenericOp loop = s.loop;
    IRRewriter rewriter(loop->getContext());
    rewriter.setInsertionPoint(loop);
    auto type = RankedTensorType::get(s.filters, rewriter.getF32Type());
    SmallVector<Value> inputs(loop.getDpsInputs());
    inputs.push_back(arith::ConstantOp::create(
        rewriter, s.product.getLoc(), DenseElementsAttr::get(type, shifts)));
    SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
    maps.insert(maps.begin() + loop.getNumDpsInputs(),
                AffineMap::get(loop.getNumLoops(), 0, s.at));
    auto shifted = linalg::GenericOp::create(
        rewriter, loop.getLoc(), loop->getResultTypes(), inputs,
        SmallVector<Value>(loop.getDpsInits()), maps,
        loop.getIteratorTypesArray());
    unsigned added = loop.getNumDpsInputs(), number = s.use->getOperandNumber();
    Operation *before = value.getDefiningOp();
    rewriter.inlineRegionBefore(loop.getRegion(), shifted.getRegion(),
                                shifted.getRegion().end());
    Block *body = shifted.getBody();
    Value sums = body->getArgument(number),
          bias = body->insertArgument(added, rewriter.getF32Type(),
                                      s.product.getLoc());
    rewriter.setInsertionPoint(before);
    Value sum = arith::AddFOp::create(rewriter, before->getLoc(), sums, bias);
    rewriter.replaceAllUsesWith(value, sum);
    rewriter.replaceOp(loop, shifted);
  }

  llvm::SetVector<Attribute> sources;
};
} // namespace
} // namespace fulgur
