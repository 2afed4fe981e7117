// Puts channels last: convolutions read and write [batch, places..., channels],
// because then their vectors are runs of channels, whatever the window and the
// stride.
//
//   conv(x)            = T⁻¹(conv'(T(x)))       T moves channels to the end
//   conv1x1(x)         = T⁻¹(product'(T(x)))    a window of one element
//   f(T⁻¹(x), y, ...)  = T⁻¹(f'(x, y, ...))     elementwise, pools, pads,
//                                               insertions, ...
//   sum(T⁻¹(x))        = sum'(x)                over the places
//   norm(T⁻¹(x))       = T⁻¹(norm'(x))          of groups of channels
//   T(T⁻¹(x))          = x
//
// The operations are visited in order, so every T⁻¹ moves down until it meets
// the T of the next convolution. What is left stands where the model's input
// enters and where something needs its own order of dims. Weights keep the
// order that they have in the model: the kernels pack them when compiling.
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "passes/Convolution.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/graph/Layouts.h"

using namespace mlir;
using namespace fulgur;

namespace fulgur {
#define GEN_PASS_DEF_ASSIGNLAYOUTS
#include "passes/Passes.h.inc"
} // namespace fulgur

namespace {
/// A depthwise convolution over a window smaller than this costs less than two
/// transpositions.
constexpr int64_t kCheapWindow = 32;

/// So many channels are read where they lie, one cache line each, as fast as
/// next to each other.
constexpr int64_t kScatteredChannels = 128;

bool isZeroFill(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && fill.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() &&
         (matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) ||
          matchPattern(fill.getInputs()[0], m_Zero()));
}
} // namespace

bool Layouts::putsChannelsFirst(ArrayRef<int64_t> permutation,
                                Operation *transpose) {
  int64_t rank = permutation.size();
  if (rank < 3 || permutation[0] != 0 || permutation[1] != rank - 1)
    return false;
  for (int64_t k = 2; k < rank; ++k)
    if (permutation[k] != k - 1)
      return false;
  return rank > 3 || llvm::any_of(transpose->getUsers(), [](Operation *user) {
           auto expand = dyn_cast<tensor::ExpandShapeOp>(user);
           return expand && expand.getReassociationIndices()[1].size() == 1 &&
                  expand.getReassociationIndices()[2].size() > 1;
         });
}

std::optional<unsigned> fulgur::loopOf(AffineExpr expr) {
  std::optional<unsigned> loop;
  expr.walk([&](AffineExpr e) {
    if (auto dim = dyn_cast<AffineDimExpr>(e); dim && !loop)
      loop = dim.getPosition();
  });
  return loop;
}

void Layouts::run() {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    rewriter.setInsertionPoint(&op);
    if (isConvolution(&op)) {
      (void)convert(cast<linalg::LinalgOp>(op));
      continue;
    }
    if (auto transpose = dyn_cast<linalg::TransposeOp>(op);
        transpose && putsChannelsFirst(transpose.getPermutation(), transpose))
      layouts.insert(&op);
    (void)sink(&op);
  }
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&op))
      op.erase();
  for (Operation &op : llvm::make_early_inc_range(block))
    if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
      reshapeUnits(transpose);
}

linalg::TransposeOp Layouts::layoutOf(Value value) {
  auto transpose = value.getDefiningOp<linalg::TransposeOp>();
  return transpose && layouts.contains(transpose) ? transpose
                                                  : linalg::TransposeOp();
}

FailureOr<Value> Layouts::transposed(Value value,
                                     ArrayRef<int64_t> permutation) {
  Permutation whole(permutation);
  if (auto before = value.getDefiningOp<linalg::TransposeOp>()) {
    whole = permuted(before.getPermutation(), permutation);
    value = before.getInput();
  }
  if (isIdentityPermutation(whole))
    return value;
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(rewriter, value);
  if (failed(dims))
    return failure();
  auto type = cast<RankedTensorType>(value.getType());
  auto result = RankedTensorType::get(permuted<int64_t>(type.getShape(), whole),
                                      type.getElementType());
  Value init = tensor::EmptyOp::create(
      rewriter, value.getLoc(), result,
      dynamicDims(rewriter, value.getLoc(), result,
                  permuted<OpFoldResult>(*dims, whole)));
  return linalg::TransposeOp::create(rewriter, value.getLoc(), value, init,
                                     whole)
      ->getResult(0);
}

LogicalResult Layouts::replace(Operation *op, Value result,
                               ArrayRef<int64_t> permutation) {
  FailureOr<Value> whole = transposed(result, permutation);
  if (failed(whole))
    return failure();
  if (auto transpose = whole->getDefiningOp<linalg::TransposeOp>())
    layouts.insert(transpose);
  if (whole->getType() != op->getResult(0).getType())
    whole = tensor::CastOp::create(rewriter, op->getLoc(),
                                   op->getResult(0).getType(), *whole)
                .getResult();
  rewriter.replaceOp(op, *whole);
  return success();
}

void Layouts::reshapeUnits(linalg::TransposeOp transpose) {
  auto source = cast<RankedTensorType>(transpose.getInput().getType()),
       target = cast<RankedTensorType>(transpose->getResult(0).getType());
  Permutation moving;
  for (int64_t from : transpose.getPermutation())
    if (source.getDimSize(from) != 1)
      moving.push_back(from);
  if (!llvm::is_sorted(moving) || moving.empty())
    return;
  rewriter.setInsertionPoint(transpose);
  FailureOr<SmallVector<OpFoldResult>> dims =
      dimsOf(rewriter, transpose.getInput());
  if (failed(dims))
    return;
  // One group for each other dim; those in front belong to the first one.
  auto groups = [](ArrayRef<int64_t> shape) {
    SmallVector<ReassociationIndices> result(1);
    bool filled = false;
    for (auto [k, size] : llvm::enumerate(shape)) {
      if (size != 1 && filled)
        result.emplace_back();
      filled |= size != 1;
      result.back().push_back(k);
    }
    return result;
  };
  Value result = transpose.getInput();
  if (int64_t(moving.size()) != source.getRank())
    result = tensor::CollapseShapeOp::create(rewriter, transpose.getLoc(),
                                             result, groups(source.getShape()));
  result = tensor::ExpandShapeOp::create(
      rewriter, transpose.getLoc(), target, result, groups(target.getShape()),
      permuted<OpFoldResult>(*dims, transpose.getPermutation()));
  rewriter.replaceOp(transpose, result);
}

LogicalResult Layouts::convert(linalg::LinalgOp op) {
  FailureOr<linalg::ConvolutionDimensions> dims =
      linalg::inferConvolutionDims(op);
  // Integers are those of quantized numbers.
  auto isF32 = [](Value value) {
    return getElementTypeOrSelf(value.getType()).isF32();
  };
  auto isI32 = [](Value value) {
    return getElementTypeOrSelf(value.getType()).isInteger(32);
  };
  if (failed(dims) || dims->depth.size() > 1 || dims->inputChannel.size() > 1 ||
      dims->outputChannel.size() > 1 ||
      (!llvm::all_of(op->getOperands(), isF32) &&
       !llvm::all_of(op->getOperands(), isI32)) ||
      !isZeroFill(op.getDpsInits()[0]))
    return failure();
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  Value in = op.getDpsInputs()[0];
  auto pad = in.getDefiningOp<tensor::PadOp>();
  bool isCheap = dims->inputChannel.empty();
  int64_t window = 1;
  for (unsigned loop : dims->filterLoop) {
    isCheap &= !ShapedType::isDynamic(sizes[loop]);
    window *= sizes[loop];
  }
  if (isCheap && window < kCheapWindow && !layoutOf(in) && isF32(in))
    return failure();

  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Permutation inOrder = channelsLast(maps[0], *dims),
              outOrder = channelsLast(maps[2], *dims);
  // Loops: what the result has, in its order, then the window and the
  // channels.
  SmallVector<unsigned> loops;
  for (int64_t from : outOrder)
    loops.push_back(*loopOf(maps[2].getResult(from)));
  loops.append(dims->filterLoop);
  loops.append(dims->inputChannel);
  if (loops.size() != op.getNumLoops())
    return failure();
  Value source = pad ? pad.getSource() : in;
  bool isOwnOrder = !source.getDefiningOp<linalg::TransposeOp>();
  if (isOwnOrder && isPatches(op, *dims, sizes))
    return convertPatches(op, *dims, outOrder);
  if (isOwnOrder && !dims->inputChannel.empty() && dims->depth.empty()) {
    int64_t channels = sizes[dims->inputChannel[0]];
    if (!ShapedType::isDynamic(channels) && channels <= kScatteredChannels)
      inOrder = llvm::to_vector(llvm::seq<int64_t>(0, inOrder.size()));
  }

  FailureOr<Value> input = failure();
  if (pad && pad.getConstantPaddingValue() && !isIdentityPermutation(inOrder)) {
    // The padding follows the transpose, into the kernel of the convolution.
    FailureOr<Value> before = transposed(source, inOrder);
    if (succeeded(before))
      input = padded(pad, *before, inOrder);
  } else {
    input = transposed(in, inOrder);
  }
  FailureOr<Value> init = emptied(op.getDpsInits()[0], outOrder);
  if (failed(input) || failed(init))
    return failure();
  Value weights = op.getDpsInputs()[1];
  maps[0] = reordered(maps[0], inOrder);
  maps[2] = reordered(maps[2], outOrder);
  bool isProduct =
      !pad && !isPhase(op) && dims->depth.empty() &&
      !dims->inputChannel.empty() &&
      llvm::all_of(dims->strides, [](int64_t s) { return s == 1; });
  for (unsigned loop : dims->filterLoop)
    isProduct &= sizes[loop] == 1;
  if (isProduct) {
    // The window's loops go, and its dims of the weights.
    llvm::erase_if(loops, [&](unsigned loop) {
      return llvm::is_contained(dims->filterLoop, loop);
    });
    std::tie(weights, maps[1]) =
        withoutWindow(op.getLoc(), weights, maps[1], dims->filterLoop);
  }
  linalg::GenericOp conv = generic(op, {*input, weights}, *init, maps, loops);
  return replace(op, conv.getResult(0), invertPermutationVector(outOrder));
}

bool Layouts::isPhase(Operation *op) {
  while (op->hasOneUse()) {
    op = *op->user_begin();
    if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
      return !insertion.hasUnitStride();
    if (!isa<linalg::GenericOp>(op) || op->getNumResults() != 1)
      break;
  }
  return false;
}

Permutation Layouts::channelsLast(AffineMap map,
                                  const linalg::ConvolutionDimensions &dims) {
  Permutation order[4];
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    auto isOf = [&](ArrayRef<unsigned> loops) {
      return dim && llvm::is_contained(loops, dim.getPosition());
    };
    int kind = isOf(dims.batch)           ? 0
               : isOf(dims.depth)         ? 2
               : isOf(dims.inputChannel)  ? 3
               : isOf(dims.outputChannel) ? 3
                                          : 1;
    order[kind].push_back(position);
  }
  for (const Permutation &more : ArrayRef(order).drop_front())
    order[0].append(more);
  return order[0];
}

AffineMap Layouts::reordered(AffineMap map, ArrayRef<int64_t> order) {
  return AffineMap::get(map.getNumDims(), 0,
                        permuted<AffineExpr>(map.getResults(), order),
                        map.getContext());
}

linalg::GenericOp Layouts::generic(linalg::LinalgOp op, ArrayRef<Value> inputs,
                                   Value init, ArrayRef<AffineMap> maps,
                                   ArrayRef<unsigned> loops) {
  SmallVector<AffineExpr> renumbered(op.getNumLoops(),
                                     rewriter.getAffineConstantExpr(0));
  SmallVector<utils::IteratorType> kinds;
  for (auto [position, loop] : llvm::enumerate(loops)) {
    renumbered[loop] = rewriter.getAffineDimExpr(position);
    kinds.push_back(op.getIteratorTypesArray()[loop]);
  }
  SmallVector<AffineMap> all;
  for (AffineMap map : maps)
    all.push_back(map.replaceDimsAndSymbols(renumbered, {}, loops.size(), 0));
  auto result = linalg::GenericOp::create(rewriter, op.getLoc(), init.getType(),
                                          inputs, init, all, kinds);
  rewriter.cloneRegionBefore(op->getRegion(0), result.getRegion(),
                             result.getRegion().end());
  return result;
}

std::pair<Value, AffineMap> Layouts::withoutWindow(Location loc, Value weights,
                                                   AffineMap map,
                                                   ArrayRef<unsigned> window) {
  SmallVector<ReassociationIndices> groups(1);
  SmallVector<AffineExpr> exprs;
  for (auto [k, expr] : llvm::enumerate(map.getResults())) {
    if (!llvm::is_contained(window, *loopOf(expr))) {
      if (!exprs.empty())
        groups.emplace_back();
      exprs.push_back(expr);
    }
    groups.back().push_back(k);
  }
  return {collapsed(loc, weights, groups),
          AffineMap::get(map.getNumDims(), 0, exprs, map.getContext())};
}

Value Layouts::collapsed(Location loc, Value value,
                         ArrayRef<ReassociationIndices> groups) {
  Value result = tensor::CollapseShapeOp::create(rewriter, loc, value, groups);
  DenseResourceElementsAttr weight;
  if (!matchPattern(value, m_Constant(&weight)))
    return result;
  auto type = cast<RankedTensorType>(result.getType());
  rewriter.eraseOp(result.getDefiningOp());
  return arith::ConstantOp::create(
      rewriter, loc,
      DenseResourceElementsAttr::get(type, weight.getRawHandle()));
}

bool Layouts::isPatches(linalg::LinalgOp op,
                        const linalg::ConvolutionDimensions &dims,
                        ArrayRef<int64_t> sizes) {
  if (!dims.depth.empty() || dims.inputChannel.empty() ||
      op.getDpsInputs()[0].getDefiningOp<tensor::PadOp>())
    return false;
  bool several = false;
  for (auto [window, place, stride, dilation] : llvm::zip(
           dims.filterLoop, dims.outputImage, dims.strides, dims.dilations)) {
    several |= sizes[window] > 1;
    if (sizes[window] != stride || (dilation != 1 && sizes[window] != 1) ||
        ShapedType::isDynamic(sizes[place]))
      return false;
  }
  auto type = cast<RankedTensorType>(op.getDpsInputs()[0].getType());
  AffineMap map = op.getIndexingMapsArray()[0];
  for (auto [expr, size] : llvm::zip(map.getResults(), type.getShape()))
    if (!isa<AffineDimExpr>(expr) && ShapedType::isDynamic(size))
      return false;
  return several;
}

LogicalResult Layouts::convertPatches(linalg::LinalgOp op,
                                      const linalg::ConvolutionDimensions &dims,
                                      ArrayRef<int64_t> outOrder) {
  Location loc = op.getLoc();
  AffineMap inMap = op.getIndexingMapsArray()[0],
            weightMap = op.getIndexingMapsArray()[1],
            outMap = op.getIndexingMapsArray()[2];
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Value in = op.getDpsInputs()[0], weights = op.getDpsInputs()[1];
  FailureOr<SmallVector<OpFoldResult>> sizes = dimsOf(rewriter, in);
  FailureOr<Value> init = emptied(op.getDpsInits()[0], outOrder);
  unsigned filter = dims.outputChannel.empty() ? 0 : dims.outputChannel[0];
  if (failed(sizes) || failed(init) || dims.outputChannel.empty() ||
      loopOf(weightMap.getResult(0)) != filter)
    return failure();
  // What no window reaches is cut off, and each dim of places is split in the
  // window's place and the place in the window.
  SmallVector<OpFoldResult> kept, split,
      zeros(inMap.getNumResults(), rewriter.getIndexAttr(0)),
      ones(inMap.getNumResults(), rewriter.getIndexAttr(1));
  SmallVector<ReassociationIndices> groups;
  SmallVector<unsigned> loops; // of the dims after the split
  for (auto [expr, size] : llvm::zip(inMap.getResults(), *sizes)) {
    groups.emplace_back();
    auto add = [&](unsigned loop, OpFoldResult size) {
      groups.back().push_back(split.size());
      split.push_back(size);
      loops.push_back(loop);
    };
    const auto *place = llvm::find_if(dims.outputImage, [&](unsigned loop) {
      return expr.isFunctionOfDim(loop);
    });
    if (place == dims.outputImage.end()) {
      kept.push_back(size);
      add(*loopOf(expr), size);
      continue;
    }
    unsigned window = dims.filterLoop[place - dims.outputImage.begin()];
    kept.push_back(rewriter.getIndexAttr(ranges[*place] * ranges[window]));
    add(*place, rewriter.getIndexAttr(ranges[*place]));
    add(window, rewriter.getIndexAttr(ranges[window]));
  }
  if (kept != *sizes)
    in = tensor::ExtractSliceOp::create(rewriter, loc, in, zeros, kept, ones);
  auto type = cast<RankedTensorType>(in.getType());
  in = tensor::ExpandShapeOp::create(
      rewriter, loc,
      RankedTensorType::get(decomposeMixedValues(split).first,
                            type.getElementType()),
      in, groups, split);
  // First the places, in the result's order, then the window as the weights
  // have it.
  Permutation order;
  SmallVector<AffineExpr> exprs;
  SmallVector<ReassociationIndices> inGroups, weightGroups{{0}, {}};
  auto take = [&](unsigned loop) {
    order.push_back(llvm::find(loops, loop) - loops.begin());
  };
  for (int64_t from : outOrder)
    if (unsigned loop = *loopOf(outMap.getResult(from)); loop != filter) {
      inGroups.push_back({int64_t(order.size())});
      take(loop);
    }
  inGroups.emplace_back();
  for (unsigned k = 1; k < weightMap.getNumResults(); ++k) {
    inGroups.back().push_back(order.size());
    weightGroups.back().push_back(k);
    take(*loopOf(weightMap.getResult(k)));
  }
  FailureOr<Value> rows = transposed(in, order);
  if (failed(rows))
    return failure();
  Value a = tensor::CollapseShapeOp::create(rewriter, loc, *rows, inGroups),
        b = collapsed(loc, weights, weightGroups);
  unsigned count = inGroups.size() + 1; // places, filter, window
  auto dim = [&](unsigned k) { return rewriter.getAffineDimExpr(k); };
  SmallVector<AffineExpr> atA, atOut;
  for (unsigned k = 0; k + 2 < count; ++k)
    atA.push_back(dim(k)), atOut.push_back(dim(k));
  atA.push_back(dim(count - 1));
  atOut.push_back(dim(count - 2));
  AffineExpr atB[] = {dim(count - 2), dim(count - 1)};
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> at :
       {ArrayRef<AffineExpr>(atA), ArrayRef<AffineExpr>(atB),
        ArrayRef<AffineExpr>(atOut)})
    maps.push_back(AffineMap::get(count, 0, at, rewriter.getContext()));
  SmallVector<utils::IteratorType> kinds(count - 1,
                                         utils::IteratorType::parallel);
  kinds.push_back(utils::IteratorType::reduction);
  auto product = linalg::GenericOp::create(
      rewriter, loc, init->getType(), ValueRange{a, b}, *init, maps, kinds);
  rewriter.cloneRegionBefore(op->getRegion(0), product.getRegion(),
                             product.getRegion().end());
  return replace(op, product.getResult(0), invertPermutationVector(outOrder));
}

namespace {
struct AssignLayouts : fulgur::impl::AssignLayoutsBase<AssignLayouts> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    bool any = false;
    for (Operation &op : getOperation().getBody().front())
      any |= isConvolution(&op);
    if (any)
      Layouts(getOperation()).run();
  }
};
} // namespace
