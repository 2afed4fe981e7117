// Turns linalg on buffers into loops that LLVM's vectoriser likes: the
// innermost loop is the one along which most operands are contiguous, a
// reduction along it runs in a register, and the outer parallel loops of a
// kernel's own operations are one parallel loop over rows. How rows are split
// into tasks depends on the shape only, so every thread count gives the same
// bits.
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "passes/Passes.h"
#include "passes/kernel/HoistIndices.h"
#include "passes/kernel/PanelProduct.h"
#include "passes/kernel/VectorLoop.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_LOWERLINALG
#include "passes/Passes.h.inc"

namespace {

/// The work of one task, in visits of the innermost body: some tens of
/// microseconds.
constexpr int64_t kTaskVisits = 1 << 15;

/// The loop along which the dim `expr` of a memref runs, or -1.
int64_t loopOf(AffineExpr expr) {
  int64_t loop = -1;
  expr.walk([&](AffineExpr e) {
    if (auto dim = dyn_cast<AffineDimExpr>(e))
      loop =
          loop < 0
              ? dim.getPosition()
              : loop; // the leftmost dim of `ow * stride + kw` is the outer one
  });
  return loop;
}

class Nest {
public:
  /// With `lanes`, elementwise loops are on vectors of so many.
  Nest(linalg::LinalgOp op, bool parallel, int64_t lanes)
      : op(op), builder(op), loc(op.getLoc()), parallel(parallel),
        lanes(lanes) {}

  void emit() {
    for (Range range : op.createLoopRanges(builder, loc))
      extents.push_back(
          getValueOrCreateConstantIndexOp(builder, loc, range.size));
    if (extents.empty()) {
      index.clear();
      visit(ValueRange(), /*inRegisters=*/false);
      return;
    }
    index.resize(extents.size());
    order();
    if (rows.empty() || !parallel)
      return emitSerial();
    emitRows();
  }

private:
  /// Chooses the innermost loop and sorts the others into rows (parallel) and
  /// `inner`.
  void order() {
    auto kinds = op.getIteratorTypesArray();
    int64_t loops = kinds.size();
    SmallVector<int64_t> score(loops, 0);
    // Every visit reads the inputs; outputs are written by every visit too,
    // unless a reduction keeps them.
    int64_t writes =
        llvm::is_contained(kinds, utils::IteratorType::reduction) ? 1 : 6;
    for (OpOperand &operand : op->getOpOperands()) {
      AffineMap map = op.getMatchingIndexingMap(&operand);
      if (map.getNumResults() == 0)
        continue;
      int64_t last = loopOf(map.getResult(map.getNumResults() - 1));
      if (last >= 0)
        score[last] += op.isDpsInit(&operand) ? writes : 4;
    }
    // Elements that are picked from neighbouring places are read in every
    // visit, too, and worth more than the tables that say where: those may stay
    // in registers.
    op->getRegion(0).walk([&](memref::LoadOp load) {
      if (auto at =
              load.getIndices().empty()
                  ? linalg::IndexOp()
                  : load.getIndices().back().getDefiningOp<linalg::IndexOp>())
        score[at.getDim()] += 8;
    });
    SmallVector<int64_t, 4> shape = op.getStaticLoopRanges();
    for (int64_t i = 0; i < loops; ++i)
      if (shape[i] == 1)
        score[i] = -1;
    innermost = loops - 1;
    for (int64_t i = loops - 2; i >= 0; --i)
      if (score[i] > score[innermost])
        innermost = i;
    for (int64_t i = 0; i < loops; ++i) {
      if (i == innermost)
        continue;
      (kinds[i] == utils::IteratorType::parallel ? rows : inner).push_back(i);
    }
    takeShortRows(shape);
    innermostIsReduction = kinds[innermost] != utils::IteratorType::parallel;
    // A lone parallel loop is its own rows, each task a piece of it.
    if (rows.empty() && !innermostIsReduction && inner.empty())
      pieces = true;
  }

  /// Divisions find a row by its number: in front of a few visits they would
  /// take longer than those. There the rows' last loops are loops inside of
  /// rows.
  void takeShortRows(ArrayRef<int64_t> shape) {
    constexpr int64_t kFewVisits = 16;
    int64_t visits = shape[innermost];
    while (rows.size() > 1 && visits > 0 && visits < kFewVisits) {
      int64_t size = shape[rows.back()];
      if (ShapedType::isDynamic(size) || visits * size > kTaskVisits)
        return;
      visits *= size;
      inner.insert(inner.begin(), rows.pop_back_val());
    }
  }

  void emitSerial() {
    if (pieces && parallel)
      return emitPieces();
    SmallVector<int64_t> all = rows;
    llvm::append_range(all, inner);
    emitLoops(all);
  }

  /// A one-dimensional parallel loop in pieces.
  void emitPieces() {
    Value size = extents[innermost], grain = constant(kTaskVisits);
    shareOut(size, grain,
             [&](Value from, Value to) { loopInnermost(from, to); });
  }

  /// Rows are numbered through all parallel loops but the innermost; a task
  /// takes a run of them.
  void emitRows() {
    Value count = extents[rows.front()];
    for (int64_t loop : ArrayRef(rows).drop_front())
      count = mul(count, extents[loop]);
    Value cost = constant(1);
    for (int64_t loop : inner)
      cost = mul(cost, extents[loop]);
    cost = arith::MaxSIOp::create(builder, loc, mul(cost, extents[innermost]),
                                  constant(1));
    Value grain =
        arith::CeilDivSIOp::create(builder, loc, constant(kTaskVisits), cost);
    shareOut(count, grain, [&](Value from, Value to) {
      auto loop = scf::ForOp::create(builder, loc, from, to, constant(1));
      builder.setInsertionPointToStart(loop.getBody());
      Value row = loop.getInductionVar();
      for (int64_t k : llvm::reverse(ArrayRef(rows).drop_front())) {
        index[k] = arith::RemSIOp::create(builder, loc, row, extents[k]);
        row = arith::DivSIOp::create(builder, loc, row, extents[k]);
      }
      index[rows.front()] = row;
      emitLoops(inner);
    });
  }

  /// One task for each `grain` of [0, count); `body` gets the task's part of
  /// it.
  void shareOut(Value count, Value grain,
                llvm::function_ref<void(Value from, Value to)> body) {
    Value tasks = arith::CeilDivSIOp::create(builder, loc, count, grain);
    auto forall =
        scf::ForallOp::create(builder, loc, ArrayRef<OpFoldResult>{tasks},
                              ValueRange(), std::nullopt);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(forall.getTerminator());
    Value from = mul(forall.getInductionVar(0), grain);
    Value to = arith::MinSIOp::create(builder, loc, add(from, grain), count);
    body(from, to);
  }

  void emitLoops(ArrayRef<int64_t> loops) {
    if (loops.empty())
      return loopInnermost(constant(0), extents[innermost]);
    auto loop = scf::ForOp::create(builder, loc, constant(0),
                                   extents[loops.front()], constant(1));
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    index[loops.front()] = loop.getInductionVar();
    emitLoops(loops.drop_front());
  }

  /// How many elements a copy moves at a time: those of a row that lie together
  /// on both sides, 1 if they do not. LLVM would move short rows one by one.
  int64_t elementsOfCopy() {
    constexpr int64_t kTogether = 16;
    if (op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 ||
        innermostIsReduction || !inner.empty() ||
        op.getBlock()->getTerminator()->getOperand(0) !=
            op.getBlock()->getArgument(0))
      return 1;
    auto size = getConstantIntValue(extents[innermost]);
    if (!size || *size % kTogether != 0)
      return 1;
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      AffineMap map = op.getMatchingIndexingMap(&operand);
      SmallVector<int64_t> strides;
      int64_t offset;
      if (!type || type.getElementType().isInteger(1) ||
          !VectorType::isValidElementType(type.getElementType()) ||
          !map.isProjectedPermutation() || map.getNumResults() == 0 ||
          map.getResults().back() !=
              builder.getAffineDimExpr(unsigned(innermost)) ||
          failed(type.getStridesAndOffset(strides, offset)) ||
          strides.back() != 1)
        return 1;
    }
    return kTogether;
  }

  void copyInnermost(int64_t together) {
    OpOperand &in = *op.getDpsInputOperand(0), &out = *op.getDpsInitOperand(0);
    auto loop = scf::ForOp::create(builder, loc, constant(0),
                                   extents[innermost], constant(together));
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    index[innermost] = loop.getInductionVar();
    auto type = VectorType::get(
        together, cast<MemRefType>(in.get().getType()).getElementType());
    Value moved =
        vector::LoadOp::create(builder, loc, type, in.get(), place(in));
    vector::StoreOp::create(builder, loc, moved, out.get(), place(out));
  }

  /// Loops over whole vectors; returns where the rest begins.
  Value vectorInnermost(VectorLoop &vectors, Value from, Value to) {
    Value end = add(from, mul(builder.createOrFold<arith::DivSIOp>(
                                  loc, sub(to, from), constant(lanes)),
                              constant(lanes)));
    auto loop = scf::ForOp::create(builder, loc, from, end, constant(lanes));
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(loop.getBody());
    index[innermost] = loop.getInductionVar();
    vectors.emit(builder, index);
    return end;
  }

  void loopInnermost(Value from, Value to) {
    if (int64_t together = elementsOfCopy(); !pieces && together > 1)
      return copyInnermost(together);
    if (VectorLoop vectors(op, innermost, lanes); lanes > 1 && vectors.exists())
      from = vectorInnermost(vectors, from, to);
    SmallVector<Value> accumulators;
    if (innermostIsReduction) {
      index[innermost] = from;
      for (OpOperand &init : op.getDpsInitsMutable())
        accumulators.push_back(load(init));
    }
    auto loop =
        scf::ForOp::create(builder, loc, from, to, constant(1), accumulators);
    {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(loop.getBody());
      index[innermost] = loop.getInductionVar();
      SmallVector<Value> results =
          visit(loop.getRegionIterArgs(), innermostIsReduction);
      if (innermostIsReduction)
        scf::YieldOp::create(builder, loc, results);
    }
    if (innermostIsReduction)
      for (auto [init, value] :
           llvm::zip(op.getDpsInitsMutable(), loop.getResults()))
        memref::StoreOp::create(builder, loc, value, init.get(), place(init));
  }

  /// The body once. With `inRegisters`, the outputs are `accumulators` and the
  /// new values are returned.
  SmallVector<Value> visit(ValueRange accumulators, bool inRegisters) {
    Block *body = op.getBlock();
    IRMapping mapping;
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(&operand);
      if (inRegisters && op.isDpsInit(&operand))
        mapping.map(
            argument,
            accumulators[operand.getOperandNumber() - op.getNumDpsInputs()]);
      else if (!argument.use_empty())
        mapping.map(argument, isa<MemRefType>(operand.get().getType())
                                  ? load(operand)
                                  : operand.get());
    }
    SmallVector<Value> results;
    for (Operation &inside : body->without_terminator()) {
      if (auto at = dyn_cast<linalg::IndexOp>(inside)) {
        mapping.map(at.getResult(), index[at.getDim()]);
        continue;
      }
      Operation *copy = builder.clone(inside, mapping);
      // Along a reduction, sums may be taken in any order: that is what makes
      // it a vector loop.
      if (inRegisters && isa<arith::AddFOp, arith::MulFOp>(copy) &&
          combines(inside))
        copy->setAttr("fastmath", arith::FastMathFlagsAttr::get(
                                      builder.getContext(),
                                      arith::FastMathFlags::reassoc |
                                          arith::FastMathFlags::contract));
    }
    for (Value value : body->getTerminator()->getOperands())
      results.push_back(mapping.lookupOrDefault(value));
    if (!inRegisters)
      for (auto [init, value] : llvm::zip(op.getDpsInitsMutable(), results))
        memref::StoreOp::create(builder, loc, value, init.get(), place(init));
    return results;
  }

  /// Whether `inside` adds to (or multiplies) an output and yields it.
  bool combines(Operation &inside) {
    Block *body = op.getBlock();
    bool reads = llvm::any_of(inside.getOperands(), [&](Value v) {
      auto argument = dyn_cast<BlockArgument>(v);
      return argument && argument.getOwner() == body &&
             argument.getArgNumber() >= op.getNumDpsInputs();
    });
    return reads && llvm::is_contained(body->getTerminator()->getOperands(),
                                       inside.getResult(0));
  }

  SmallVector<Value> place(OpOperand &operand) {
    SmallVector<Value> at;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    for (AffineExpr expr : map.getResults()) {
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        at.push_back(index[dim.getPosition()]);
      else
        at.push_back(affine::makeComposedAffineApply(
            builder, loc, AffineMap::get(map.getNumDims(), 0, expr),
            getAsOpFoldResult(index)));
    }
    return at;
  }

  Value load(OpOperand &operand) {
    return memref::LoadOp::create(builder, loc, operand.get(), place(operand));
  }
  Value constant(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value mul(Value a, Value b) {
    return arith::MulIOp::create(builder, loc, a, b,
                                 arith::IntegerOverflowFlags::nsw);
  }
  Value sub(Value a, Value b) {
    return arith::SubIOp::create(builder, loc, a, b,
                                 arith::IntegerOverflowFlags::nsw);
  }
  Value add(Value a, Value b) {
    return arith::AddIOp::create(builder, loc, a, b,
                                 arith::IntegerOverflowFlags::nsw);
  }

  linalg::LinalgOp op;
  OpBuilder builder;
  Location loc;
  bool parallel;
  int64_t lanes;
  SmallVector<Value> extents, index;
  SmallVector<int64_t> rows, inner;
  int64_t innermost = 0;
  bool innermostIsReduction = false, pieces = false;
};

/// Whether `op` computes with rows that data picks, such as embeddings: LLVM
/// does not see that the indices, which are read as well, are not results. It
/// does well where rows are only moved.
bool computesWithPickedRows(linalg::LinalgOp op) {
  Operation *yielded =
      op.getBlock()->getTerminator()->getOperand(0).getDefiningOp();
  return !isa_and_nonnull<memref::LoadOp>(yielded) &&
         llvm::any_of(
             op.getBlock()->getOps<memref::LoadOp>(), [](memref::LoadOp load) {
               return load.getIndices().size() > 1 &&
                      load.getIndices().back().getDefiningOp<linalg::IndexOp>();
             });
}

struct LowerLinalg : impl::LowerLinalgBase<LowerLinalg> {
  using LowerLinalgBase::LowerLinalgBase;

  void runOnOperation() override {
    // A copy is a loop like any other; LLVM makes memcpy of the contiguous
    // ones.
    getOperation().walk([](memref::CopyOp copy) {
      OpBuilder builder(copy);
      // A part that was computed in its place is there already.
      if (copy.getSource() != copy.getTarget())
        linalg::CopyOp::create(builder, copy.getLoc(), copy.getSource(),
                               copy.getTarget());
      copy.erase();
    });
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) { ops.push_back(op); });
    for (linalg::LinalgOp op : ops) {
      if (!op.hasPureBufferSemantics()) {
        op->emitOpError("was not bufferized");
        return signalPassFailure();
      }
      // Only an operation that the kernel runs once is worth tasks of its own.
      bool parallel = isa<func::FuncOp>(op->getParentOp());
      if (isPanelProduct(op, vectorBytes))
        emitPanelProduct(op, vectorBytes, vectorRegisters);
      else
        Nest(op, parallel,
             isa<scf::ForOp>(op->getParentOp()) || computesWithPickedRows(op)
                 ? vectorBytes / 4
                 : 1)
            .emit();
      op->erase();
    }
    hoistIndices(getOperation());
  }
};
} // namespace
} // namespace fulgur
