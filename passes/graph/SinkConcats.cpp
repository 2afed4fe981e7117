// Makes a concatenation of elementwise loops out of an elementwise loop over a
// concatenation of slices:
//
//   f(x, concat(g(x1), x0)) = concat(f(x0, g(x1)), f(x1, x0))
//
// This is how exporters spell rotary embeddings (Su et al., RoFormer, 2021):
// the halves of each row, one negated, change places. Afterwards g fuses into
// the loops, which read the slices, also through transposes that keep rows
// whole, where they are; nothing is put together before it is complete.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_SINKCONCATS
#include "passes/Passes.h.inc"

namespace {

bool isElementwiseLoop(Operation *op) {
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  return generic && generic.getNumResults() == 1 &&
         linalg::isElementwise(generic) &&
         generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>() &&
         llvm::none_of(generic.getBody()->getOperations(),
                       llvm::IsaPred<linalg::IndexOp, tensor::ExtractOp>);
}

/// A slice, or an elementwise loop of slices that only the concatenation reads.
bool isPieceOfSomething(Value part) {
  if (part.getDefiningOp<tensor::ExtractSliceOp>())
    return true;
  auto loop = part.getDefiningOp<linalg::GenericOp>();
  return loop && part.hasOneUse() && isElementwiseLoop(loop) &&
         llvm::any_of(loop.getDpsInputs(), [](Value input) {
           return input.getDefiningOp<tensor::ExtractSliceOp>() != nullptr;
         });
}

/// An input of a loop: tensor and map.
struct Input {
  Value tensor;
  AffineMap map;
};

/// The same without the transpose that `input` is read through, perhaps behind
/// a slice, when the last dim stays the last.
Input beforeTranspose(OpBuilder &b, Input input) {
  auto slice = input.tensor.getDefiningOp<tensor::ExtractSliceOp>();
  Value source = slice ? slice.getSource() : input.tensor;
  auto transpose = source.getDefiningOp<linalg::TransposeOp>();
  if (!transpose ||
      (slice && (!slice.hasUnitStride() ||
                 slice.getSourceType().getRank() != slice.getType().getRank())))
    return input;
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  unsigned rank = permutation.size();
  if (permutation.back() != int64_t(rank) - 1)
    return input;
  SmallVector<AffineExpr> exprs(rank);
  SmallVector<int64_t> shape(rank);
  SmallVector<OpFoldResult> offsets(rank), sizes(rank),
      strides(rank, b.getIndexAttr(1));
  for (auto [to, from] : llvm::enumerate(permutation)) {
    exprs[from] = input.map.getResult(to);
    if (!slice)
      continue;
    offsets[from] = slice.getMixedOffsets()[to];
    sizes[from] = slice.getMixedSizes()[to];
    shape[from] = slice.getType().getDimSize(to);
  }
  Value tensor = transpose.getInput();
  if (slice)
    tensor = tensor::ExtractSliceOp::create(b, slice.getLoc(),
                                            slice.getType().clone(shape),
                                            tensor, offsets, sizes, strides);
  return {tensor,
          AffineMap::get(input.map.getNumDims(), 0, exprs, b.getContext())};
}

/// The elements [offset, offset + size) of a dim.
struct Range {
  unsigned dim;
  int64_t offset, size;
};

FailureOr<Value> restricted(OpBuilder &b, Value tensor, Range range);

/// The loop for the elements of its result in `range` only, which reads `part`
/// in place of input `number`.
FailureOr<Value> restricted(OpBuilder &b, linalg::GenericOp loop, Range range,
                            std::optional<unsigned> number = std::nullopt,
                            Value part = {}) {
  Location loc = loop.getLoc();
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(b, loop.getResult(0));
  if (failed(dims))
    return failure();
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
  for (auto [i, input] : llvm::enumerate(loop.getDpsInputs())) {
    FailureOr<Value> piece = input;
    auto position = maps[i].getResultPosition(b.getAffineDimExpr(range.dim));
    if (i == number)
      piece = part;
    else if (position &&
             cast<RankedTensorType>(input.getType()).getDimSize(*position) != 1)
      piece =
          restricted(b, input, {unsigned(*position), range.offset, range.size});
    if (failed(piece))
      return failure();
    Input read = beforeTranspose(b, {*piece, maps[i]});
    inputs.push_back(read.tensor);
    maps[i] = read.map;
  }
  auto type = cast<RankedTensorType>(loop.getResult(0).getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[range.dim] = range.size;
  for (auto [known, size] : llvm::zip(shape, *dims))
    if (!ShapedType::isDynamic(known))
      size = b.getIndexAttr(known);
  type = type.clone(shape);
  Value empty =
      tensor::EmptyOp::create(b, loc, type, dynamicDims(b, loc, type, *dims));
  auto piece = linalg::GenericOp::create(b, loc, type, inputs, empty, maps,
                                         loop.getIteratorTypesArray());
  IRMapping mapping;
  loop.getRegion().cloneInto(&piece.getRegion(), mapping);
  return piece.getResult(0);
}

FailureOr<Value> restricted(OpBuilder &b, Value tensor, Range range) {
  // What only this loop reads is computed in pieces as well.
  auto loop = tensor.getDefiningOp<linalg::GenericOp>();
  if (loop && tensor.hasOneUse() && isElementwiseLoop(loop) &&
      loop.getIndexingMapsArray().back().isIdentity())
    return restricted(b, loop, range);
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(b, tensor);
  if (failed(dims))
    return failure();
  auto type = cast<RankedTensorType>(tensor.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
      strides(type.getRank(), b.getIndexAttr(1));
  SmallVector<int64_t> shape(type.getShape());
  offsets[range.dim] = b.getIndexAttr(range.offset);
  shape[range.dim] = range.size;
  for (auto [known, size] : llvm::zip(shape, *dims))
    if (!ShapedType::isDynamic(known))
      size = b.getIndexAttr(known);
  return tensor::ExtractSliceOp::create(b, tensor.getLoc(), type.clone(shape),
                                        tensor, offsets, *dims, strides)
      .getResult();
}

struct SinkConcats : impl::SinkConcatsBase<SinkConcats> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> loops;
    getOperation().walk([&](linalg::GenericOp loop) {
      if (isElementwiseLoop(loop))
        loops.push_back(loop);
    });
    for (linalg::GenericOp loop : loops)
      for (unsigned number : llvm::seq(loop.getNumDpsInputs())) {
        auto concat =
            loop.getDpsInputs()[number].getDefiningOp<tensor::ConcatOp>();
        if (!concat || !llvm::all_of(concat.getInputs(), isPieceOfSomething))
          continue;
        StringRef reason = sink(loop, number, concat);
        if (reason.empty())
          break;
        remark(loop, getArgument(), reason);
      }
  }

private:
  /// Says why it did not.
  StringRef sink(linalg::GenericOp loop, unsigned number,
                 tensor::ConcatOp concat) {
    if (!concat->hasOneUse())
      return "reads a concatenation that others read as well";
    SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
    if (!maps[number].isIdentity() || !maps.back().isIdentity())
      return "reads a concatenation in another order";
    Range range{unsigned(concat.getDim()), 0, 0};
    for (Value part : concat.getInputs())
      if (cast<RankedTensorType>(part.getType()).isDynamicDim(range.dim))
        return "reads a concatenation of parts of unknown size";
    OpBuilder b(loop);
    SmallVector<Value> parts;
    for (Value part : concat.getInputs()) {
      range.size = cast<RankedTensorType>(part.getType()).getDimSize(range.dim);
      FailureOr<Value> piece = restricted(b, loop, range, number, part);
      if (failed(piece))
        return "reads a tensor whose dims are not known";
      parts.push_back(*piece);
      range.offset += range.size;
    }
    loop.getResult(0).replaceAllUsesWith(tensor::ConcatOp::create(
        b, loop.getLoc(), cast<RankedTensorType>(loop.getResult(0).getType()),
        range.dim, parts));
    // What was computed whole goes with those that read it.
    SmallVector<Value> whole = loop.getDpsInputs();
    loop.erase();
    while (!whole.empty()) {
      Operation *op = whole.pop_back_val().getDefiningOp();
      if (!isElementwiseLoop(op) || !op->use_empty())
        continue;
      llvm::append_range(whole, cast<linalg::GenericOp>(op).getDpsInputs());
      op->erase();
    }
    // A part reads what was in front of its slice directly.
    for (Value part : concat.getInputs())
      if (auto before = part.getDefiningOp<linalg::GenericOp>()) {
        OpBuilder inner(before);
        SmallVector<AffineMap> own = before.getIndexingMapsArray();
        for (OpOperand *input : before.getDpsInputOperands()) {
          AffineMap &map = own[input->getOperandNumber()];
          Input read = beforeTranspose(inner, {input->get(), map});
          map = read.map;
          input->set(read.tensor);
        }
        before.setIndexingMapsAttr(inner.getAffineMapArrayAttr(own));
      }
    concat.erase();
    return "";
  }
};
} // namespace
} // namespace fulgur
