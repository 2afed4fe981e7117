// How a transposition moves from what an operation reads to what it gives.
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "passes/Convolution.h"
#include "passes/Dims.h"
#include "passes/graph/Layouts.h"

using namespace mlir;
using namespace fulgur;

LogicalResult Layouts::sink(Operation *op) {
  if (op->getNumResults() == 0)
    return failure();
  if (auto transpose = dyn_cast<linalg::TransposeOp>(op))
    return sinkTranspose(transpose);
  if (auto concat = dyn_cast<tensor::ConcatOp>(op))
    return sinkConcat(concat);
  if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
    return sinkInsertion(insertion);
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(op))
    return sinkLinalg(linalgOp);
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return sinkNorm(norm);
  if (op->getNumOperands() == 0)
    return failure();
  linalg::TransposeOp transpose = layoutOf(op->getOperand(0));
  if (!transpose)
    return failure();
  if (auto pad = dyn_cast<tensor::PadOp>(op))
    return sinkPad(pad, transpose);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return sinkSlice(slice, transpose);
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return sinkExpand(expand, transpose);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return sinkCollapse(collapse, transpose);
  return failure();
}

bool Layouts::isShuffle(linalg::TransposeOp op) {
  return op->hasOneUse() && isa<tensor::CollapseShapeOp>(*op->user_begin()) &&
         feedsConvolution(op->user_begin()->getResult(0));
}

LogicalResult Layouts::sinkTranspose(linalg::TransposeOp op) {
  linalg::TransposeOp before = layoutOf(op.getInput());
  if (!before)
    return failure();
  FailureOr<Value> whole =
      transposed(before->getResult(0), op.getPermutation());
  if (failed(whole))
    return failure();
  // One that puts channels first, or a shuffle, may move on.
  if (auto transpose = whole->getDefiningOp<linalg::TransposeOp>();
      transpose &&
      (putsChannelsFirst(transpose.getPermutation(), op) || isShuffle(op)))
    layouts.insert(transpose);
  layouts.erase(op);
  rewriter.replaceOp(op, *whole);
  return success();
}

LogicalResult Layouts::sinkConcat(tensor::ConcatOp op) {
  linalg::TransposeOp lead;
  int64_t moved = 0;
  for (Value input : op.getInputs())
    if (linalg::TransposeOp transpose = layoutOf(input);
        transpose &&
        (!lead || transpose.getPermutation() == lead.getPermutation())) {
      lead = transpose;
      ++moved;
    }
  if (2 * moved < int64_t(op.getInputs().size()) || !lead)
    return failure();
  ArrayRef<int64_t> permutation = lead.getPermutation();
  SmallVector<Value> inputs;
  for (Value input : op.getInputs()) {
    FailureOr<Value> other =
        transposed(input, invertPermutationVector(permutation));
    if (failed(other))
      return failure();
    inputs.push_back(*other);
  }
  Value result = tensor::ConcatOp::create(rewriter, op.getLoc(),
                                          permutation[op.getDim()], inputs);
  return replace(op, result, permutation);
}

LogicalResult Layouts::sinkInsertion(tensor::InsertSliceOp op) {
  linalg::TransposeOp part = layoutOf(op.getSource());
  if (!part || op.getSourceType().getRank() != op.getType().getRank())
    return failure();
  ArrayRef<int64_t> permutation = part.getPermutation();
  SmallVector<int64_t> order = invertPermutationVector(permutation);
  linalg::TransposeOp whole = layoutOf(op.getDest());
  FailureOr<Value> dest = failure();
  if (whole && whole.getPermutation() == permutation)
    dest = whole.getInput();
  else if (op.getDest().getDefiningOp<tensor::EmptyOp>())
    dest = emptied(op.getDest(), order);
  if (failed(dest))
    return failure();
  Value result = tensor::InsertSliceOp::create(
      rewriter, op.getLoc(), part.getInput(), *dest,
      permuted<OpFoldResult>(op.getMixedOffsets(), order),
      permuted<OpFoldResult>(op.getMixedSizes(), order),
      permuted<OpFoldResult>(op.getMixedStrides(), order));
  return replace(op, result, permutation);
}

Value Layouts::padded(tensor::PadOp op, Value source, ArrayRef<int64_t> order) {
  return tensor::PadOp::create(
      rewriter, op.getLoc(), Type(), source,
      permuted<OpFoldResult>(op.getMixedLowPad(), order),
      permuted<OpFoldResult>(op.getMixedHighPad(), order),
      op.getConstantPaddingValue());
}

LogicalResult Layouts::sinkPad(tensor::PadOp op,
                               linalg::TransposeOp transpose) {
  if (!op.getConstantPaddingValue())
    return failure();
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  return replace(
      op,
      padded(op, transpose.getInput(), invertPermutationVector(permutation)),
      permutation);
}

LogicalResult Layouts::sinkSlice(tensor::ExtractSliceOp op,
                                 linalg::TransposeOp transpose) {
  if (op.getDroppedDims().any())
    return failure();
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  SmallVector<int64_t> order = invertPermutationVector(permutation);
  Value slice = tensor::ExtractSliceOp::create(
      rewriter, op.getLoc(), transpose.getInput(),
      permuted<OpFoldResult>(op.getMixedOffsets(), order),
      permuted<OpFoldResult>(op.getMixedSizes(), order),
      permuted<OpFoldResult>(op.getMixedStrides(), order));
  return replace(op, slice, permutation);
}

LogicalResult Layouts::sinkExpand(tensor::ExpandShapeOp op,
                                  linalg::TransposeOp transpose) {
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  SmallVector<ReassociationIndices> groups = op.getReassociationIndices(),
                                    moved;
  SmallVector<OpFoldResult> shape = op.getMixedOutputShape(), sizes;
  Permutation result(shape.size());
  for (int64_t from : invertPermutationVector(permutation)) {
    moved.emplace_back();
    for (int64_t dim : groups[from]) {
      result[dim] = sizes.size();
      moved.back().push_back(sizes.size());
      sizes.push_back(shape[dim]);
    }
  }
  auto type = cast<RankedTensorType>(op.getType());
  Value expanded = tensor::ExpandShapeOp::create(
      rewriter, op.getLoc(),
      RankedTensorType::get(
          permuted<int64_t>(type.getShape(), invertPermutationVector(result)),
          type.getElementType()),
      transpose.getInput(), moved, sizes);
  return replace(op, expanded, result);
}

bool Layouts::feedsConvolution(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) {
    if (isConvolution(user))
      return true;
    auto generic = dyn_cast<linalg::GenericOp>(user);
    return (isa<tensor::PadOp>(user) ||
            (generic && linalg::isElementwise(generic))) &&
           feedsConvolution(user->getResult(0));
  });
}

LogicalResult Layouts::shufflePixels(tensor::CollapseShapeOp op,
                                     linalg::TransposeOp transpose) {
  SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
  int64_t rank = groups.size();
  if (rank < 3 || !feedsConvolution(op))
    return failure();
  Permutation last{0}, first{0, rank - 1}, order;
  for (int64_t k = 2; k < rank; ++k) {
    last.push_back(k);
    first.push_back(k - 1);
  }
  last.push_back(1);
  SmallVector<ReassociationIndices> moved;
  for (int64_t group : last) {
    moved.emplace_back();
    for (int64_t dim : groups[group]) {
      moved.back().push_back(order.size());
      order.push_back(dim);
    }
  }
  FailureOr<Value> pixels = transposed(transpose->getResult(0), order);
  if (failed(pixels))
    return failure();
  Value collapsed =
      tensor::CollapseShapeOp::create(rewriter, op.getLoc(), *pixels, moved);
  return replace(op, collapsed, first);
}

LogicalResult Layouts::sinkCollapse(tensor::CollapseShapeOp op,
                                    linalg::TransposeOp transpose) {
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  SmallVector<std::pair<int64_t, int64_t>> first; // dim, group
  SmallVector<ReassociationIndices> groups = op.getReassociationIndices();
  for (auto [number, group] : llvm::enumerate(groups)) {
    for (int64_t k : ArrayRef(group).drop_back())
      if (permutation[k + 1] != permutation[k] + 1)
        return shufflePixels(op, transpose);
    if (group.empty())
      return failure();
    first.push_back({permutation[group.front()], number});
  }
  if (groups.empty())
    return failure();
  llvm::sort(first);
  SmallVector<ReassociationIndices> moved;
  Permutation result(groups.size());
  for (auto [dim, number] : first) {
    result[number] = moved.size();
    moved.emplace_back(
        llvm::to_vector(llvm::seq<int64_t>(dim, dim + groups[number].size())));
  }
  Value collapsed = tensor::CollapseShapeOp::create(
      rewriter, op.getLoc(), transpose.getInput(), moved);
  return replace(op, collapsed, result);
}

LogicalResult Layouts::sinkLinalg(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || linalg::isaContractionOpInterface(op) ||
      isConvolution(op) || isa<linalg::FillOp>(op))
    return failure();
  SmallVector<Value> inputs = op.getDpsInputs();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  auto outLoops = [&]() -> std::optional<SmallVector<unsigned>> {
    SmallVector<unsigned> loops;
    for (AffineExpr expr : maps.back().getResults()) {
      if (!isa<AffineDimExpr>(expr))
        return std::nullopt;
      loops.push_back(cast<AffineDimExpr>(expr).getPosition());
    }
    return loops;
  }();
  bool moves = op->getNumResults() == 1 && outLoops;
  bool reads = false;
  Permutation order; // of the result's dims
  for (auto [input, map] : llvm::zip(inputs, maps)) {
    linalg::TransposeOp transpose = layoutOf(input);
    if (!transpose)
      continue;
    reads = true;
    input = transpose.getInput();
    map = reordered(map, invertPermutationVector(transpose.getPermutation()));
    if (moves && order.empty())
      order = orderLike(map, *outLoops);
  }
  SmallVector<tensor::ExtractOp> extracts;
  op->getRegion(0).walk([&](tensor::ExtractOp extract) {
    if (layoutOf(extract.getTensor()))
      extracts.push_back(extract);
  });
  // A table with as many dims as the result is most likely read dim by dim.
  for (tensor::ExtractOp extract : extracts) {
    ArrayRef<int64_t> permutation =
        layoutOf(extract.getTensor()).getPermutation();
    if (moves && order.empty() && permutation.size() == outLoops->size())
      order = invertPermutationVector(permutation);
  }
  if (!reads && extracts.empty())
    return failure();
  if (order.empty())
    order = llvm::to_vector(llvm::seq<int64_t>(0, maps.back().getNumResults()));
  SmallVector<Value> inits(op.getDpsInits());
  if (!isIdentityPermutation(order)) {
    FailureOr<Value> init = emptied(inits[0], order);
    if (failed(init)) {
      order = llvm::to_vector(llvm::seq<int64_t>(0, order.size()));
    } else {
      inits[0] = *init;
      maps.back() = reordered(maps.back(), order);
    }
  }
  return rebuild(op, inputs, inits, maps, order);
}

Permutation Layouts::orderLike(AffineMap map, ArrayRef<unsigned> outLoops) {
  Permutation order;
  for (AffineExpr expr : map.getResults()) {
    std::optional<unsigned> loop = loopOf(expr);
    const auto *position = loop ? llvm::find(outLoops, *loop) : outLoops.end();
    if (position != outLoops.end())
      order.push_back(position - outLoops.begin());
  }
  if (order.size() != outLoops.size() || !isPermutationVector(order))
    order.clear();
  return order;
}

LogicalResult Layouts::rebuild(linalg::LinalgOp op, ArrayRef<Value> inputs,
                               ArrayRef<Value> inits, ArrayRef<AffineMap> maps,
                               ArrayRef<int64_t> order) {
  if (op->getNumRegions() != 1 || op->getRegion(0).getBlocks().size() != 1 ||
      isa<linalg::MapOp, linalg::ReduceOp>(op))
    return failure();
  auto generic = linalg::GenericOp::create(
      rewriter, op.getLoc(), ValueRange(inits).getTypes(), inputs, inits, maps,
      op.getIteratorTypesArray());
  rewriter.cloneRegionBefore(op->getRegion(0), generic.getRegion(),
                             generic.getRegion().end());
  generic.walk([&](tensor::ExtractOp extract) {
    linalg::TransposeOp transpose = layoutOf(extract.getTensor());
    if (!transpose)
      return;
    SmallVector<Value> indices(extract.getIndices());
    SmallVector<Value> moved = permuted<Value>(
        indices, invertPermutationVector(transpose.getPermutation()));
    extract.getTensorMutable().assign(transpose.getInput());
    extract.getIndicesMutable().assign(moved);
  });
  if (isIdentityPermutation(order)) {
    rewriter.replaceOp(op, generic);
    return success();
  }
  SmallVector<unsigned> loops;
  for (AffineExpr expr : maps.back().getResults())
    loops.push_back(cast<AffineDimExpr>(expr).getPosition());
  for (unsigned loop : llvm::seq(op.getNumLoops()))
    if (!llvm::is_contained(loops, loop))
      loops.push_back(loop);
  FailureOr<linalg::GenericOp> interchanged =
      linalg::interchangeGenericOp(rewriter, generic, loops);
  if (failed(interchanged))
    return failure();
  rewriter.setInsertionPoint(op);
  return replace(op, interchanged->getResult(0),
                 invertPermutationVector(order));
}

FailureOr<Value> Layouts::emptied(Value init, ArrayRef<int64_t> order) {
  auto fill = init.getDefiningOp<linalg::FillOp>();
  Value dest = fill ? fill.getDpsInits()[0] : init;
  auto empty = dest.getDefiningOp<tensor::EmptyOp>();
  if (!empty)
    return failure();
  Value result = tensor::EmptyOp::create(
      rewriter, empty.getLoc(),
      permuted<OpFoldResult>(empty.getMixedSizes(), order),
      cast<RankedTensorType>(empty.getType()).getElementType());
  if (fill)
    result =
        linalg::FillOp::create(rewriter, fill.getLoc(), fill.value(), result)
            .getResult(0);
  return result;
}
