// Computes what is used, and no more: slices move above the operations that
// compute what they are taken of.
//
//   slice(f(x, y)) = f(slice(x), slice(y))
//
// A classifier reads one row of its last layer; afterwards that layer has the
// keys and values of all rows, and everything else for this row only.
//
// A walk from the last operation to the first finds the part of each value that
// is used, one from the first to the last writes for parts what can be. Which
// parts of the operands make a part of the result follows from index maps.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/graph/Part.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_RAISESLICES
#include "passes/Passes.h.inc"

namespace {

/// The parts of its operands that an operation needs, by operand. It does
/// without those that are missing here.
using Needs = SmallVector<std::pair<unsigned, Part>>;

Part wholeOf(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return Part(type ? type.getRank() : 0);
}

/// x + y, computed at the builder's place unless it is known now.
OpFoldResult add(OpBuilder &b, Location loc, OpFoldResult x, OpFoldResult y) {
  auto cx = getConstantIntValue(x), cy = getConstantIntValue(y);
  if (cx && cy)
    return b.getIndexAttr(*cx + *cy);
  if (cx == 0 || cy == 0)
    return cx == 0 ? y : x;
  return arith::AddIOp::create(b, loc,
                               getValueOrCreateConstantIndexOp(b, loc, x),
                               getValueOrCreateConstantIndexOp(b, loc, y))
      .getResult();
}

RankedTensorType typeOf(RankedTensorType type, ArrayRef<DimPart> part) {
  SmallVector<int64_t> shape(type.getShape());
  for (auto [dim, runs] : llvm::zip(shape, part)) {
    if (runs.empty())
      continue;
    dim = 1;
    for (const Run &run : runs) {
      auto size = getConstantIntValue(run.size);
      dim = !size || ShapedType::isDynamic(dim) ? ShapedType::kDynamic
                                                : dim * *size;
    }
  }
  return type.clone(shape);
}

/// What each loop has to do for `part` of a tensor that has `map`.
std::optional<SmallVector<DimPart>> loopsOf(AffineMap map,
                                            ArrayRef<DimPart> part) {
  SmallVector<DimPart> loops(map.getNumDims());
  for (auto [expr, runs] : llvm::zip(map.getResults(), part)) {
    if (runs.empty())
      continue;
    auto loop = dyn_cast<AffineDimExpr>(expr);
    if (!loop)
      return std::nullopt;
    loops[loop.getPosition()] = runs;
  }
  return loops;
}

/// The part of a tensor with `map` that the loops come to.
std::optional<Part> reach(AffineMap map, ArrayRef<DimPart> loops) {
  Part part;
  for (AffineExpr expr : map.getResults()) {
    part.emplace_back();
    if (auto loop = dyn_cast<AffineDimExpr>(expr))
      part.back() = loops[loop.getPosition()];
    else
      for (auto [i, runs] : llvm::enumerate(loops))
        if (!runs.empty() && expr.isFunctionOfDim(i))
          return std::nullopt;
  }
  return part;
}

/// The empty tensor that an operation writes into, maybe after a fill.
tensor::EmptyOp emptyUnder(Value init) {
  if (auto fill = init.getDefiningOp<linalg::FillOp>())
    init = fill.getDpsInits()[0];
  return init.getDefiningOp<tensor::EmptyOp>();
}

//===-- What is needed ----------------------------------------------------===//

std::optional<Needs> needsOf(linalg::LinalgOp op, ArrayRef<DimPart> part) {
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  auto loops = loopsOf(maps.back(), part);
  if (!op.hasPureTensorSemantics() || op.getNumDpsInits() != 1 || !loops)
    return std::nullopt;
  // An index of several runs is not a sum.
  bool fits = true;
  op->getRegion(0).walk([&](linalg::IndexOp index) {
    fits &= (*loops)[index.getDim()].size() <= 1;
  });
  Needs needs;
  for (OpOperand &operand : op->getOpOperands()) {
    auto reached = reach(op.getMatchingIndexingMap(&operand), *loops);
    if (!reached || !fits)
      return std::nullopt;
    if (!op.isDpsInit(&operand) || !emptyUnder(operand.get()))
      needs.push_back({operand.getOperandNumber(), *reached});
  }
  return needs;
}

std::optional<Needs> needsOf(AttentionOp op, ArrayRef<DimPart> part) {
  auto loops = loopsOf(op.resultMap(), part);
  if (!loops || !(*loops)[op.columnLoop()].empty())
    return std::nullopt;
  const DimPart &queries = (*loops)[op.queryLoop()];
  bool countsQueries = !op.getScore().getArgument(1).use_empty();
  if (!queries.empty() && (op.getOffset() || countsQueries) &&
      (queries.size() > 1 ||
       (countsQueries && !getConstantIntValue(queries[0].offset))))
    return std::nullopt;
  Needs needs;
  for (auto [i, map] : llvm::enumerate(ArrayRef(op.mapList()).drop_back())) {
    auto reached = reach(map, *loops);
    if (!reached)
      return std::nullopt;
    needs.push_back({i, *reached});
  }
  return needs;
}

template <typename NormOp>
std::optional<Needs> needsOfNorm(NormOp op, ArrayRef<DimPart> part) {
  if (!isWhole(part.drop_front(op.getAxis())))
    return std::nullopt;
  Needs needs{{0, Part(part)}};
  for (auto [i, weight] : llvm::enumerate(op->getOperands().drop_front()))
    needs.push_back({i + 1, wholeOf(weight)});
  return needs;
}

std::optional<Needs> needsOf(SoftmaxOp op, ArrayRef<DimPart> part) {
  if (!part[op.getAxis()].empty())
    return std::nullopt;
  return Needs{{0, Part(part)}};
}

/// Of the concatenated dim, a part that lies in one input.
std::optional<Needs> needsOf(tensor::ConcatOp op, ArrayRef<DimPart> part) {
  DimPart along = part[op.getDim()];
  Needs needs;
  if (along.empty()) {
    for (unsigned i : llvm::seq(op.getInputs().size()))
      needs.push_back({i, Part(part)});
    return needs;
  }
  auto offset = getConstantIntValue(along[0].offset),
       size = getConstantIntValue(along[0].size);
  if (along.size() > 1 || !offset || !size)
    return std::nullopt;
  for (auto [i, input] : llvm::enumerate(op.getInputs())) {
    int64_t extent =
        cast<RankedTensorType>(input.getType()).getDimSize(op.getDim());
    if (ShapedType::isDynamic(extent))
      return std::nullopt;
    if (*offset < extent) {
      if (*offset + *size > extent)
        return std::nullopt;
      Part inner(part);
      inner[op.getDim()].clear();
      if (*size < extent) {
        auto index = [&](int64_t number) {
          return getAsIndexOpFoldResult(op.getContext(), number);
        };
        inner[op.getDim()].push_back(
            {index(extent), index(*offset), index(*size)});
      }
      return Needs{{i, inner}};
    }
    *offset -= extent;
  }
  return std::nullopt;
}

std::optional<Needs> needsOf(tensor::CollapseShapeOp op,
                             ArrayRef<DimPart> part) {
  OpBuilder b(op);
  auto dims = dimsOf(b, op.getSrc());
  if (failed(dims))
    return std::nullopt;
  auto source = beforeCollapse(part, op.getReassociationIndices(), *dims);
  if (!source)
    return std::nullopt;
  return Needs{{0, *source}};
}

/// The dims of its source that a slice takes a part of. Slices with strides
/// take nothing that is a part here.
std::optional<Part> taken(tensor::ExtractSliceOp op) {
  OpBuilder b(op);
  auto dims = dimsOf(b, op.getSource());
  if (failed(dims) || !op.hasUnitStride())
    return std::nullopt;
  Part part;
  for (auto [dim, offset, size] :
       llvm::zip(*dims, op.getMixedOffsets(), op.getMixedSizes())) {
    Run run{dim, offset, size};
    part.emplace_back();
    if (!run.isWhole())
      part.back().push_back(run);
  }
  return part;
}

/// A part of a slice is a part of what the slice is taken of.
std::optional<Needs> needsOf(tensor::ExtractSliceOp op,
                             ArrayRef<DimPart> part) {
  auto source = taken(op);
  if (!source)
    return std::nullopt;
  OpBuilder b(op);
  llvm::SmallBitVector dropped = op.getDroppedDims();
  for (auto [i, outer] : llvm::enumerate(*source)) {
    if (dropped.test(i))
      continue;
    const DimPart &inner = part.front();
    part = part.drop_front();
    if (inner.empty())
      continue;
    if (outer.empty()) {
      outer = inner;
      continue;
    }
    if (inner.size() > 1)
      return std::nullopt;
    outer[0].offset = add(b, op.getLoc(), outer[0].offset, inner[0].offset);
    outer[0].size = inner[0].size;
  }
  return Needs{{0, *source}};
}

std::optional<Needs> needsOf(Operation *op, ArrayRef<DimPart> part) {
  return llvm::TypeSwitch<Operation *, std::optional<Needs>>(op)
      .Case<linalg::LinalgOp, AttentionOp, SoftmaxOp, tensor::ConcatOp,
            tensor::CollapseShapeOp, tensor::ExtractSliceOp>(
          [&](auto op) { return needsOf(op, part); })
      .Case([&](RoundBlocksOp op) -> std::optional<Needs> {
        if (!part.back().empty())
          return std::nullopt;
        return Needs{{0, Part(part)}};
      })
      .Case<LayerNormOp, RMSNormOp>(
          [&](auto op) { return needsOfNorm(op, part); })
      .Case([&](tensor::ExpandShapeOp op) {
        return Needs{{0, beforeExpand(part, op.getReassociationIndices(),
                                      op.getMixedOutputShape())}};
      })
      .Default([](Operation *) { return std::nullopt; });
}

/// Collects the operations that have to move so that `value` is known before
/// `op`, in their order. Fails when it needs what is computed later.
bool collectLate(Value value, Operation *op,
                 llvm::SetVector<Operation *> &late) {
  Operation *producer = value.getDefiningOp();
  if (!producer || late.contains(producer))
    return true;
  if (producer->getBlock() != op->getBlock())
    return false;
  if (producer->isBeforeInBlock(op))
    return true;
  if (!isMemoryEffectFree(producer) || producer->getNumRegions() != 0 ||
      llvm::any_of(producer->getOperandTypes(), llvm::IsaPred<ShapedType>))
    return false;
  for (Value operand : producer->getOperands())
    if (!collectLate(operand, op, late))
      return false;
  late.insert(producer);
  return true;
}

/// The same for all sizes that `needs` speaks of. Those that come out of data
/// are safe only behind the checks that follow them.
bool collectLate(const Needs &needs, Operation *op,
                 llvm::SetVector<Operation *> &late) {
  for (const auto &[number, part] : needs)
    for (const DimPart &runs : part)
      for (const Run &run : runs)
        for (OpFoldResult size : {run.extent, run.offset, run.size})
          if (auto value = dyn_cast<Value>(size);
              value && (dependsOnData(value) || !collectLate(value, op, late)))
            return false;
  return true;
}

//===-- The pass ----------------------------------------------------------===//

struct RaiseSlices : impl::RaiseSlicesBase<RaiseSlices> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    used.clear();
    slices.clear();
    parts.clear();
    needed.clear();
    Block &block = getOperation().getBody().front();
    if (block.getOps<tensor::ExtractSliceOp>().empty())
      return;
    for (Operation &op : llvm::reverse(block))
      visit(&op);
    // Last to first until here.
    for (auto &[op, needs] : llvm::reverse(needed))
      rewrite(op, needs);
    for (auto &[op, needs] : needed)
      if (isOpTriviallyDead(op))
        op->erase();
  }

private:
  /// Finds what `op` needs for what is used of its result.
  void visit(Operation *op) {
    // What nobody uses needs nothing.
    if (op->getNumResults() > 0 && isMemoryEffectFree(op) &&
        llvm::all_of(op->getResults(), [&](Value result) {
          return isa<RankedTensorType>(result.getType()) &&
                 !used.contains(result);
        }))
      return;
    auto whole = [&](Value value) { use(value, wholeOf(value)); };
    for (Region &region : op->getRegions())
      visitUsedValuesDefinedAbove(
          region, [&](OpOperand *operand) { whole(operand->get()); });
    if (op->getNumResults() == 1) {
      Part part = used.lookup(op->getResult(0));
      bool isRoot = isa<tensor::ExtractSliceOp>(op) && isWhole(part);
      if (isRoot)
        part = wholeOf(op->getResult(0));
      if (isRoot || !isWhole(part)) {
        std::optional<Needs> needs = needsOf(op, part);
        llvm::SetVector<Operation *> late;
        if (needs && collectLate(*needs, op, late) && areKnown(*op, *needs) &&
            (!isRoot || isSmall(needs->front().second))) {
          for (auto &[number, operandPart] : *needs)
            use(op->getOperand(number), operandPart);
          needed.push_back({op, std::move(*needs)});
          return;
        }
      }
    }
    llvm::for_each(op->getOperands(), whole);
  }

  /// Whether the operands can be sliced.
  static bool areKnown(Operation &op, const Needs &needs) {
    OpBuilder b(&op);
    return llvm::all_of(needs, [&](const auto &need) {
      return isWhole(need.second) ||
             succeeded(dimsOf(b, op.getOperand(need.first)));
    });
  }

  void use(Value value, const Part &part) {
    if (!isa<RankedTensorType>(value.getType()))
      return;
    auto [known, isFirst] = used.try_emplace(value, part);
    if (isFirst || isSame(known->second, part))
      return;
    if (Operation *op = value.getDefiningOp();
        op && isOnePlace(known->second) && isOnePlace(part))
      remark(op, "RaiseSlices",
             "all of it is computed: several places of it are used");
    known->second = wholeOf(value);
  }

  static bool isOnePlace(const Part &part) {
    return llvm::any_of(part, [](const DimPart &runs) {
      return llvm::any_of(
          runs, [](const Run &run) { return isConstantIntValue(run.size, 1); });
    });
  }

  /// Writes `op` again for the parts of its operands.
  void rewrite(Operation *op, const Needs &needs) {
    Part part = used.lookup(op->getResult(0));
    // A view costs nothing: it stays where its source does.
    bool isRoot = isa<tensor::ExtractSliceOp>(op) && isWhole(part);
    if ((isRoot || isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op)) &&
        !parts.contains(op->getOperand(0)))
      return;
    llvm::SetVector<Operation *> late;
    collectLate(needs, op, late);
    for (Operation *moved : late)
      moved->moveBefore(op);
    OpBuilder b(op);
    SmallVector<Value> operands(op->getOperands());
    for (auto &[number, operandPart] : needs)
      operands[number] = sliced(b, op->getLoc(), operands[number], operandPart);
    Value result =
        llvm::TypeSwitch<Operation *, Value>(op)
            .Case<linalg::LinalgOp, AttentionOp, tensor::ConcatOp,
                  tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                  tensor::ExtractSliceOp>(
                [&](auto op) { return write(b, op, operands, needs, part); })
            .Default([&](Operation *op) { // of one type
              return mlir::clone(b, op, operands[0].getType(), operands)
                  ->getResult(0);
            });
    if (!isRoot) {
      parts[op->getResult(0)] = result;
      return;
    }
    if (result.getType() != op->getResult(0).getType())
      result = tensor::CastOp::create(b, op->getLoc(),
                                      op->getResult(0).getType(), result);
    op->getResult(0).replaceAllUsesWith(result);
  }

  /// The part of a value: computed as such, or a slice, made once.
  Value sliced(OpBuilder &b, Location loc, Value value, const Part &part) {
    if (isWhole(part))
      return value;
    if (Value computed = parts.lookup(value))
      return computed;
    for (auto &[other, slice] : slices[value])
      if (isSame(other, part))
        return slice;
    Value slice = extract(b, loc, value, part);
    slices[value].push_back({part, slice});
    return slice;
  }

  static Value write(OpBuilder &b, linalg::LinalgOp op,
                     SmallVector<Value> operands, const Needs &,
                     const Part &part) {
    Location loc = op.getLoc();
    OpOperand &init = *op.getDpsInitOperand(0);
    if (tensor::EmptyOp empty = emptyUnder(init.get())) {
      SmallVector<OpFoldResult> sizes = empty.getMixedSizes();
      for (auto [size, runs] : llvm::zip(sizes, part))
        size = sizeOf(b, loc, runs, size);
      Value smaller = tensor::EmptyOp::create(b, loc, sizes,
                                              empty.getType().getElementType());
      if (auto fill = init.get().getDefiningOp<linalg::FillOp>())
        smaller =
            linalg::FillOp::create(b, fill.getLoc(), fill.value(), smaller)
                .getResult(0);
      operands[init.getOperandNumber()] = smaller;
    }
    Type type = operands[init.getOperandNumber()].getType();
    Operation *copy = mlir::clone(b, op.getOperation(), type, operands);
    // The loops start at 0 now.
    SmallVector<DimPart> loops =
        *loopsOf(op.getIndexingMapsArray().back(), part);
    SmallVector<linalg::IndexOp> indices;
    copy->walk([&](linalg::IndexOp index) { indices.push_back(index); });
    for (linalg::IndexOp index : indices)
      if (const DimPart &runs = loops[index.getDim()]; !runs.empty())
        shift(index, runs[0].offset);
    return copy->getResult(0);
  }

  /// Adds `offset` to an index wherever it is used.
  static void shift(Value index, OpFoldResult offset) {
    OpBuilder b(index.getContext());
    b.setInsertionPointAfterValue(index);
    OpFoldResult shifted = add(b, index.getLoc(), index, offset);
    auto value = cast<Value>(shifted);
    if (value != index)
      index.replaceAllUsesExcept(value, value.getDefiningOp());
  }

  static Value write(OpBuilder &b, AttentionOp op, SmallVector<Value> operands,
                     const Needs &, const Part &part) {
    const DimPart queries = (*loopsOf(op.resultMap(), part))[op.queryLoop()];
    OpFoldResult first = b.getIndexAttr(0);
    if (queries.size() == 1)
      first = queries[0].offset;
    if (op.getOffset()) // the last operand
      operands.back() = getValueOrCreateConstantIndexOp(
          b, op.getLoc(), add(b, op.getLoc(), operands.back(), first));
    auto copy =
        mlir::clone(b, op, typeOf(op.getResult().getType(), part), operands);
    if (!copy.getScore().getArgument(1).use_empty())
      shift(copy.getScore().getArgument(1), first);
    return copy.getResult();
  }

  static Value write(OpBuilder &b, tensor::ConcatOp op,
                     ArrayRef<Value> operands, const Needs &needs,
                     const Part &part) {
    if (!part[op.getDim()].empty())
      return operands[needs.front().first];
    return tensor::ConcatOp::create(b, op.getLoc(), op.getDim(), operands);
  }

  static Value write(OpBuilder &b, tensor::ExpandShapeOp op,
                     ArrayRef<Value> operands, const Needs &,
                     const Part &part) {
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
    for (auto [size, runs] : llvm::zip(sizes, part))
      size = sizeOf(b, op.getLoc(), runs, size);
    return tensor::ExpandShapeOp::create(
        b, op.getLoc(), typeOf(op.getResultType(), part), operands[0],
        op.getReassociationIndices(), sizes);
  }

  static Value write(OpBuilder &b, tensor::CollapseShapeOp op,
                     ArrayRef<Value> operands, const Needs &, const Part &) {
    return tensor::CollapseShapeOp::create(b, op.getLoc(), operands[0],
                                           op.getReassociationIndices());
  }

  /// What is left of a slice: dims of one place that it drops.
  static Value write(OpBuilder &b, tensor::ExtractSliceOp op,
                     ArrayRef<Value> operands, const Needs &, const Part &) {
    llvm::SmallBitVector dropped = op.getDroppedDims();
    if (dropped.none())
      return operands[0];
    SmallVector<ReassociationIndices> groups;
    ReassociationIndices open;
    for (int64_t dim : llvm::seq<int64_t>(dropped.size())) {
      open.push_back(dim);
      if (dropped.test(dim))
        continue;
      groups.push_back(open);
      open.clear();
    }
    if (!groups.empty())
      llvm::append_range(groups.back(), open);
    return tensor::CollapseShapeOp::create(b, op.getLoc(), operands[0], groups);
  }

  /// What is used of a value.
  llvm::DenseMap<Value, Part> used;
  /// The operations to be written again, with what they need; last to first.
  SmallVector<std::pair<Operation *, Needs>> needed;
  /// The used parts of values, where they are computed as such.
  llvm::DenseMap<Value, Value> parts;
  /// Slices of values that are computed as a whole.
  llvm::DenseMap<Value, SmallVector<std::pair<Part, Value>>> slices;
};
} // namespace
} // namespace fulgur
