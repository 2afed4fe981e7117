// Makes products of f32 ones of narrower numbers. What a weight is multiplied
// with is rounded where it is computed, so that the rounding fuses into that
// loop and the numbers lie in memory as narrow ones; sums stay f32.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/BFloat16.h"
#include "passes/Convolution.h"
#include "passes/Dims.h"
#include "passes/NarrowAttention.h"
#include "passes/Passes.h"
#include "passes/ScaledCodes.h"
#include "passes/WeightStore.h"
#include "passes/graph/Planes.h"
#include "passes/graph/WeightProduct.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_NARROWPRODUCTS
#include "passes/Passes.h.inc"

namespace {

/// Attention of so many queries is as fast as its keys and values are read.
constexpr int64_t kFewQueries = 8;

bool isF32(Value value) {
  return getElementTypeOrSelf(value.getType()).isF32();
}

/// The value that `value` is a reshape of.
Value sourceOf(Value value) {
  while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
      value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return value;
}

bool isConstantWeight(Value value) {
  ElementsAttr weight;
  return matchPattern(value, m_Constant(&weight)) &&
         !weightBytes(weight).empty();
}

/// The loop that picks `value` out of a weight, such as those of experts; null
/// if there is none.
tensor::ExtractOp pickOf(Value value) {
  auto loop = value.getDefiningOp<linalg::GenericOp>();
  if (!loop || loop.getNumResults() != 1 || loop.getNumReductionLoops() != 0)
    return {};
  auto pick = loop.getBody()
                  ->getTerminator()
                  ->getOperand(0)
                  .getDefiningOp<tensor::ExtractOp>();
  return pick && isConstantWeight(pick.getTensor()) ? pick
                                                    : tensor::ExtractOp();
}

bool isWeight(Value value) {
  Value source = sourceOf(value);
  return isConstantWeight(source) || pickOf(source);
}

/// A convolution of f32 with weights, over pairs of channels. Without an
/// instruction for pairs, few 3x3 windows without stride are faster by
/// Winograd's transformation of f32, whose tiles are larger.
bool isWorthItAsConvolution(linalg::LinalgOp op, bool multipliesPairs) {
  constexpr int64_t fewWeights = (3 << 20) / (36 * sizeof(float));
  if (!llvm::all_of(op->getOperands(), isF32) || !isWeight(op->getOperand(1)))
    return false;
  FailureOr<linalg::ConvolutionDimensions> dims =
      linalg::inferConvolutionDims(op);
  if (failed(dims) || dims->inputChannel.size() != 1 || !dims->depth.empty())
    return false;
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t channels = sizes[dims->inputChannel[0]];
  AffineMap input = op.getIndexingMapsArray()[0];
  if (channels < kShortestSum || channels % 2 != 0 ||
      !llvm::is_contained(
          input.getResults(),
          getAffineDimExpr(dims->inputChannel[0], op.getContext())))
    return false;
  auto isOne = [](int64_t step) { return step == 1; };
  int64_t filters = 1;
  for (unsigned loop : dims->outputChannel)
    filters *= sizes[loop];
  return multipliesPairs || dims->filterLoop.size() != 2 ||
         filters * channels > fewWeights ||
         !llvm::all_of(dims->filterLoop,
                       [&](unsigned loop) { return sizes[loop] == 3; }) ||
         !llvm::all_of(dims->strides, isOne) ||
         !llvm::all_of(dims->dilations, isOne);
}

/// So many narrow numbers are a pixel of a few planes.
constexpr int64_t kPixel = 4;

/// The planes that a convolution of f32 with weights reads, if they are nearly
/// a pixel and many filters read it.
std::optional<Planes> planesOf(linalg::LinalgOp op) {
  constexpr int64_t fewestFilters = 16;
  ElementsAttr weight;
  if (!isConvolution(op) || !llvm::all_of(op->getOperands(), isF32) ||
      !matchPattern(op->getOperand(1), m_Constant(&weight)) ||
      weightBytes(weight).empty())
    return std::nullopt;
  Value image = op->getOperand(0);
  auto pad = image.getDefiningOp<tensor::PadOp>();
  if (pad && (!pad.getConstantPaddingValue() ||
              !matchPattern(pad.getConstantPaddingValue(), m_AnyZeroFloat())))
    return std::nullopt;
  std::optional<Planes> planes =
      matchPlanes(op, op.getIndexingMapsArray()[0], pad);
  if (!planes || planes->channels != kPixel - 1)
    return std::nullopt;
  int64_t filters = 1;
  for (unsigned loop : linalg::inferConvolutionDims(op)->outputChannel)
    filters *= op.getStaticLoopRanges()[loop];
  return filters >= fewestFilters ? planes : std::nullopt;
}

/// A convolution of f32 with weights of each channel, which are whole vectors:
/// its time is what reading the image takes.
bool readsChannels(linalg::GenericOp op) {
  constexpr int64_t vector = 16;
  if (!isConvolution(op) || !llvm::all_of(op->getOperands(), isF32) ||
      !isWeight(op->getOperand(1)))
    return false;
  FailureOr<linalg::ConvolutionDimensions> dims =
      linalg::inferConvolutionDims(op);
  return succeeded(dims) && dims->depth.size() == 1 &&
         dims->outputChannel.empty() && dims->inputChannel.empty() &&
         op.getStaticLoopRanges()[dims->depth[0]] % vector == 0 &&
         op.getIndexingMapsArray()[0].getResults().back() ==
             getAffineDimExpr(dims->depth[0], op.getContext());
}

/// Whether the value has places, rows and columns of them: those of images are
/// so many that time is what memory takes.
bool isImage(Value value) {
  return cast<RankedTensorType>(value.getType()).getRank() >= 4 &&
         isa_and_nonnull<linalg::LinalgOp>(value.getDefiningOp());
}

/// A product of f32 with one weight, whose sums are long.
bool isWorthIt(linalg::LinalgOp op, bool multipliesPairs) {
  if (isConvolution(op))
    return isWorthItAsConvolution(op, multipliesPairs) ||
           (multipliesPairs && planesOf(op));
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      op->getNumOperands() != 3 || !llvm::all_of(op->getOperands(), isF32) ||
      isWeight(op->getOperand(0)) == isWeight(op->getOperand(1)))
    return false;
  return hasLongSums(op);
}

/// Attention of f32 that has many queries, of keys and values that are computed
/// here: those that come from a cache would have to be rounded in a loop of
/// their own, and all of them for a few queries.
bool isWorthIt(AttentionOp op) {
  auto isComputed = [](Value value) {
    Value source = sourceOf(value);
    while (auto slice = source.getDefiningOp<tensor::ExtractSliceOp>())
      source = sourceOf(slice.getSource());
    return isa_and_nonnull<linalg::LinalgOp>(source.getDefiningOp()) &&
           !matchScaledCodes(source);
  };
  int64_t queries = ShapedType::kDynamic;
  for (auto [value, map] : {std::pair(op.getQuery(), op.mapList().front()),
                            std::pair(op.getResult(), op.resultMap())})
    if (auto dim = map.getResultPosition(
            getAffineDimExpr(op.queryLoop(), op.getContext())))
      queries = std::max(
          queries, cast<RankedTensorType>(value.getType()).getDimSize(*dim));
  return llvm::all_of(op->getOperands().take_front(3), isF32) &&
         (ShapedType::isDynamic(queries) || queries > kFewQueries) &&
         hasRowsOfPairs(op) && isComputed(op.getKey()) &&
         isComputed(op.getValue());
}

struct NarrowProducts : impl::NarrowProductsBase<NarrowProducts> {
  using NarrowProductsBase::NarrowProductsBase;

  void runOnOperation() override {
    if (this->type != "bf16") {
      getOperation().emitError() << "products cannot be narrowed to '"
                                 << this->type << "'; there is bf16";
      return signalPassFailure();
    }
    narrow = BFloat16Type::get(&getContext());
    narrowed.clear();
    weights.clear();
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isWorthIt(op, pairs))
        products.push_back(op);
    });
    for (linalg::LinalgOp product : products)
      if (failed(rewrite(product)))
        return signalPassFailure();
    WalkResult read = getOperation().walk([&](linalg::GenericOp op) {
      return readsChannels(op) && failed(narrowImage(op))
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (read.wasInterrupted())
      return signalPassFailure();
    for (auto [value, rounded] : narrowed)
      if (isImage(value))
        readNarrow(value, rounded);
    for (auto [value, rounded] : llvm::to_vector(narrowed))
      if (failed(foldNarrow(value, rounded)))
        return signalPassFailure();
    // What comes out of these is rounded before it is multiplied.
    getOperation().walk([](Operation *op) {
      if (auto erf = dyn_cast<math::ErfOp>(op))
        erf.setFastmath(arith::FastMathFlags::afn);
      if (auto tanh = dyn_cast<math::TanhOp>(op))
        tanh.setFastmath(arith::FastMathFlags::afn);
    });
    SmallVector<AttentionOp> attentions;
    getOperation().walk([&](AttentionOp op) { attentions.push_back(op); });
    for (AttentionOp attention : attentions)
      if (failed(rewrite(attention)))
        return signalPassFailure();
    for (AttentionOp attention : attentions) {
      narrowRepaired(attention);
      narrowResult(attention);
    }
    for (auto &entry : weights)
      releaseWeight(cast<ElementsAttr>(entry.first));
  }

private:
  /// The same product of narrow operands, which its body widens.
  LogicalResult rewrite(linalg::LinalgOp op) {
    SmallVector<Value> inputs = op.getDpsInputs();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    OpBuilder builder(op);
    if (std::optional<Planes> planes = planesOf(op))
      joinPlanes(builder, op, *planes, inputs, maps);
    else if (isConvolution(op))
      putChannelsLast(builder, op, inputs[0], maps[0]);
    for (Value &input : inputs) {
      input = input ? narrowOf(input) : Value();
      if (!input)
        return op.emitError("has an operand whose dims are not known");
    }
    Value init = op.getDpsInits()[0];
    auto generic =
        linalg::GenericOp::create(builder, op.getLoc(), init.getType(), inputs,
                                  init, maps, op.getIteratorTypesArray());
    IRMapping mapping;
    op->getRegion(0).cloneInto(&generic.getRegion(), mapping);
    Block *body = generic.getBody();
    for (BlockArgument argument : body->getArguments().drop_back())
      widen(argument);
    op->replaceAllUsesWith(generic);
    op->erase();
    return success();
  }

  /// Planes become pixels, of rounded numbers.
  void joinPlanes(OpBuilder &builder, linalg::LinalgOp op, Planes planes,
                  MutableArrayRef<Value> inputs,
                  MutableArrayRef<AffineMap> maps) {
    Location loc = op.getLoc();
    Value image = narrowOf(planes.pad ? planes.pad.getSource() : inputs[0]);
    ElementsAttr weight;
    matchPattern(inputs[1], m_Constant(&weight));
    weight = fillChannels(cast<ElementsAttr>(narrowWeight(weight)), maps[1],
                          planes, kPixel);
    Value zero =
        arith::ConstantOp::create(builder, loc, builder.getZeroAttr(narrow));
    inputs[0] = image ? fulgur::joinPlanes(builder, loc, image, planes, kPixel,
                                           zero, maps[0])
                      : Value();
    inputs[1] =
        arith::ConstantOp::create(builder, loc, cast<TypedAttr>(weight));
  }

  /// Pairs are of neighbouring channels: the image that a convolution reads
  /// gets them last. They are elsewhere where the model's input enters. Null if
  /// its dims are not known.
  void putChannelsLast(OpBuilder &builder, linalg::LinalgOp op, Value &image,
                       AffineMap &map) {
    Location loc = op.getLoc();
    AffineExpr channel = getAffineDimExpr(
        linalg::inferConvolutionDims(op)->inputChannel[0], op.getContext());
    int64_t rank = map.getNumResults(),
            from = llvm::find(map.getResults(), channel) -
                   map.getResults().begin();
    if (from == rank - 1)
      return;
    SmallVector<int64_t> order;
    for (int64_t dim : llvm::seq(rank))
      if (dim != from)
        order.push_back(dim);
    order.push_back(from);
    auto pad = image.getDefiningOp<tensor::PadOp>();
    Value source = pad ? pad.getSource() : image;
    FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, source);
    if (failed(dims)) {
      image = {};
      return;
    }
    Value empty = tensor::EmptyOp::create(
        builder, loc, applyPermutation(*dims, order), builder.getF32Type());
    source = linalg::TransposeOp::create(builder, loc, source, empty, order)
                 ->getResult(0);
    if (pad) {
      auto type = cast<RankedTensorType>(pad.getType());
      type = RankedTensorType::get(applyPermutation(type.getShape(), order),
                                   type.getElementType());
      source =
          tensor::PadOp::create(builder, loc, type, source,
                                applyPermutation(pad.getMixedLowPad(), order),
                                applyPermutation(pad.getMixedHighPad(), order),
                                pad.getConstantPaddingValue());
    }
    image = source;
    map = AffineMap::get(
        map.getNumDims(), 0,
        applyPermutation(llvm::to_vector(map.getResults()), order),
        op.getContext());
  }

  /// The argument of a body becomes a narrow one.
  void widen(BlockArgument argument) {
    OpBuilder builder = OpBuilder::atBlockBegin(argument.getOwner());
    argument.setType(narrow);
    auto wide = arith::ExtFOp::create(builder, argument.getLoc(),
                                      builder.getF32Type(), argument);
    argument.replaceAllUsesExcept(wide, wide);
  }

  /// A convolution of each channel reads a narrow image.
  LogicalResult narrowImage(linalg::GenericOp op) {
    OpOperand *image = op.getDpsInputOperand(0);
    auto pad = image->get().getDefiningOp<tensor::PadOp>();
    if (!isImage(pad ? pad.getSource() : image->get()))
      return success();
    Value value = narrowOf(image->get());
    if (!value)
      return op.emitError("has an operand whose dims are not known");
    image->set(value);
    widen(op.getBody()->getArgument(0));
    return success();
  }

  /// An image that is rounded for some is for elementwise loops, too: its wide
  /// form need not be stored.
  void readNarrow(Value value, Value rounded) {
    for (OpOperand &use : llvm::make_early_inc_range(value.getUses())) {
      auto loop = dyn_cast<linalg::GenericOp>(use.getOwner());
      if (!loop || loop == rounded.getDefiningOp() || loop.isDpsInit(&use) ||
          !linalg::isElementwise(loop))
        continue;
      use.set(rounded);
      widen(loop.getBody()->getArgument(use.getOperandNumber()));
    }
  }

  /// The maxima of an image that is rounded for all its users are those of the
  /// rounded image.
  LogicalResult foldNarrow(Value value, Value rounded) {
    auto pool = value.getDefiningOp<linalg::GenericOp>();
    if (!pool || !value.hasOneUse() || !isPool(pool) ||
        *value.user_begin() != rounded.getDefiningOp())
      return success();
    Operation *fold =
        pool.getBody()->getTerminator()->getOperand(0).getDefiningOp();
    auto fill = pool.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
    auto pad = pool.getInputs()[0].getDefiningOp<tensor::PadOp>();
    FloatAttr start, filler;
    if (!isa<arith::MaximumFOp>(fold) || !fill ||
        !matchPattern(fill.getInputs()[0], m_Constant(&start)) ||
        !start.getValue().isInfinity() ||
        (pad &&
         (!pad.getConstantPaddingValue() ||
          !matchPattern(pad.getConstantPaddingValue(), m_Constant(&filler)) ||
          filler != start)))
      return success();
    Value image = pad ? pad.getSource() : pool.getInputs()[0];
    if (!isImage(image) || !image.hasOneUse())
      return success();
    image = narrowOf(image);
    OpBuilder builder(pool);
    Value empty = emptyFor(builder, value);
    if (!image || !empty)
      return pool.emitError("has an operand whose dims are not known");
    Location loc = pool.getLoc();
    Value least = arith::ConstantOp::create(
        builder, loc,
        FloatAttr::get(narrow,
                       start.getValue().isNegative() ? -INFINITY : INFINITY));
    if (pad)
      image = tensor::PadOp::create(
          builder, pad.getLoc(), withNarrowElements(pad.getType()), image,
          pad.getMixedLowPad(), pad.getMixedHighPad(), least);
    Value init =
        linalg::FillOp::create(builder, loc, least, empty).getResult(0);
    IRMapping mapping;
    mapping.map(pool.getInputs()[0], image);
    mapping.map(pool.getDpsInits()[0], init);
    auto maxima = cast<linalg::GenericOp>(builder.clone(*pool, mapping));
    maxima->getResult(0).setType(cast<RankedTensorType>(init.getType()));
    Block *body = maxima.getBody();
    body->getArgument(0).setType(narrow);
    body->getArguments().back().setType(narrow);
    body->getTerminator()->getOperand(0).setType(narrow);
    Operation *rounding = rounded.getDefiningOp();
    rounding->replaceAllUsesWith(maxima);
    narrowed.erase(value);
    rounding->erase();
    pool->erase();
    return success();
  }

  /// Attention of narrow operands, if it is one of many queries.
  LogicalResult rewrite(AttentionOp op) {
    if (isWorthIt(op))
      for (OpOperand &operand : op->getOpOperands().take_front(3)) {
        Value value = narrowOf(operand.get());
        if (!value)
          return op.emitError("has an operand whose dims are not known");
        operand.set(value);
      }
    return success();
  }

  /// An attention whose result is rounded for all that use it rounds by itself.
  void narrowResult(AttentionOp op) {
    Value result = op.getResult(), rounded = narrowed.lookup(result);
    if (!rounded)
      return;
    // Reshapes have been repeated.
    for (Operation *user : llvm::make_early_inc_range(result.getUsers()))
      eraseUnused(user);
    if (!result.hasOneUse())
      return;
    Operation *rounding = rounded.getDefiningOp();
    result.setType(cast<RankedTensorType>(rounded.getType()));
    rounding->replaceAllUsesWith(ValueRange{result});
    rounding->erase();
  }

  /// So does one whose result a loop picks from, element by element, if what it
  /// picks is rounded for all.
  void narrowRepaired(AttentionOp op) {
    if (!op->hasOneUse())
      return;
    OpOperand &use = *op->use_begin();
    auto loop = dyn_cast<linalg::GenericOp>(use.getOwner());
    if (!loop || loop.isDpsInit(&use) || loop.getNumResults() != 1 ||
        loop.getNumReductionLoops() != 0)
      return;
    Value result = loop.getResult(0), rounded = narrowed.lookup(result);
    BlockArgument argument = loop.getMatchingBlockArgument(&use);
    Operation *yield = loop.getBody()->getTerminator();
    auto select = yield->getOperand(0).getDefiningOp<arith::SelectOp>();
    if (!rounded || !select || !argument.hasOneUse() ||
        *argument.user_begin() != select)
      return;
    for (Operation *user : llvm::make_early_inc_range(result.getUsers()))
      eraseUnused(user);
    OpBuilder builder(loop);
    Value empty = result.hasOneUse() ? emptyFor(builder, result) : Value();
    if (!empty)
      return;
    loop.getDpsInitsMutable()[0].set(empty);
    loop.getBody()->getArguments().back().setType(narrow);
    builder.setInsertionPoint(yield);
    yield->setOperand(0, arith::TruncFOp::create(builder, loop.getLoc(), narrow,
                                                 yield->getOperand(0)));
    result.setType(cast<RankedTensorType>(empty.getType()));
    Operation *rounding = rounded.getDefiningOp();
    rounding->replaceAllUsesWith(ValueRange{result});
    rounding->erase();
    op.getResult().setType(
        cast<RankedTensorType>(withNarrowElements(op.getResult().getType())));
    widen(argument);
  }

  static void eraseUnused(Operation *reshape) {
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(reshape))
      return;
    for (Operation *user :
         llvm::make_early_inc_range(reshape->getResult(0).getUsers()))
      eraseUnused(user);
    if (reshape->use_empty())
      reshape->erase();
  }

  Type withNarrowElements(Type type) {
    return cast<RankedTensorType>(type).clone(narrow);
  }

  /// `value` as a narrow tensor, made once for all that use it. Reshapes are
  /// repeated behind the rounding.
  Value narrowOf(Value value) {
    if (getElementTypeOrSelf(value.getType()) == narrow)
      return value;
    if (Value known = narrowed.lookup(value))
      return known;
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    for (Operation *user : value.getUsers())
      if (isa<SizedOp>(user)) // which says the dims of an argument
        builder.setInsertionPointAfter(user);
    Operation *op = value.getDefiningOp();
    Value result;
    if (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op)) {
      Value source = narrowOf(op->getOperand(0));
      if (!source)
        return {};
      Operation *reshape = builder.clone(*op);
      reshape->setOperand(0, source);
      reshape->getResult(0).setType(withNarrowElements(value.getType()));
      result = reshape->getResult(0);
    } else if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(op)) {
      // All of it is rounded, once for all slices.
      Value source = narrowOf(slice.getSource());
      if (!source)
        return {};
      auto part = cast<tensor::ExtractSliceOp>(builder.clone(*op));
      part.getSourceMutable().assign(source);
      part.getResult().setType(
          cast<RankedTensorType>(withNarrowElements(value.getType())));
      result = part;
    } else if (auto pad = dyn_cast_or_null<tensor::PadOp>(op);
               pad &&
               matchPattern(pad.getConstantPaddingValue(), m_AnyZeroFloat())) {
      Value source = narrowOf(pad.getSource());
      if (!source)
        return {};
      Value zero = arith::ConstantOp::create(builder, value.getLoc(),
                                             builder.getZeroAttr(narrow));
      result = tensor::PadOp::create(
          builder, value.getLoc(), withNarrowElements(value.getType()), source,
          pad.getMixedLowPad(), pad.getMixedHighPad(), zero);
    } else if (ElementsAttr weight; matchPattern(value, m_Constant(&weight))) {
      result = arith::ConstantOp::create(builder, value.getLoc(),
                                         cast<TypedAttr>(narrowWeight(weight)));
    } else if (tensor::ExtractOp pick = pickOf(value)) {
      result = pickNarrow(builder, pick);
    } else {
      result = round(builder, value);
    }
    return narrowed[value] = result;
  }

  /// A tensor for `value` as a narrow one; null if its dims are not known.
  Value emptyFor(OpBuilder &builder, Value value) {
    Location loc = value.getLoc();
    FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, value);
    if (failed(dims))
      return {};
    auto type = cast<RankedTensorType>(value.getType());
    Value empty = tensor::EmptyOp::create(builder, loc, *dims, narrow);
    if (empty.getType() != withNarrowElements(type))
      empty = tensor::EmptyOp::create(builder, loc, withNarrowElements(type),
                                      dynamicDims(builder, loc, type, *dims));
    return empty;
  }

  /// The loop that picks the same out of the narrow weight.
  Value pickNarrow(OpBuilder &builder, tensor::ExtractOp pick) {
    auto loop = pick->getParentOfType<linalg::GenericOp>();
    Value table = narrowOf(pick.getTensor()),
          empty = emptyFor(builder, loop->getResult(0));
    if (!empty)
      return {};
    IRMapping mapping;
    mapping.map(loop.getDpsInits()[0], empty);
    auto result = cast<linalg::GenericOp>(builder.clone(*loop, mapping));
    result->getResult(0).setType(cast<RankedTensorType>(empty.getType()));
    Block *body = result.getBody();
    body->getArguments().back().setType(narrow);
    auto picked =
        body->getTerminator()->getOperand(0).getDefiningOp<tensor::ExtractOp>();
    picked.getTensorMutable().assign(table);
    picked.getResult().setType(narrow);
    return result->getResult(0);
  }

  Value round(OpBuilder &builder, Value value) {
    Location loc = value.getLoc();
    auto type = cast<RankedTensorType>(value.getType());
    Value empty = emptyFor(builder, value);
    if (!empty)
      return {};
    AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> kinds(type.getRank(),
                                           utils::IteratorType::parallel);
    return linalg::GenericOp::create(
               builder, loc, empty.getType(), value, empty,
               ArrayRef<AffineMap>{identity, identity}, kinds,
               [&](OpBuilder &inside, Location, ValueRange v) {
                 linalg::YieldOp::create(
                     inside, loc,
                     arith::TruncFOp::create(inside, loc, narrow, v[0])
                         .getResult());
               })
        .getResult(0);
  }

  Attribute narrowWeight(ElementsAttr weight) {
    Attribute &result = weights[weight];
    if (!result)
      result = fulgur::narrowWeight(weight, "narrow", narrow,
                                    [](float x) { return BFloat16(x).bits; });
    return result;
  }

  Type narrow;
  llvm::MapVector<Value, Value> narrowed;
  llvm::MapVector<Attribute, Attribute> weights;
};
} // namespace
} // namespace fulgur
