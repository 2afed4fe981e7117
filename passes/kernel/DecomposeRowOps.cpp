// Row operations that no builder takes (other axes, other element types), as
// reductions and elementwise loops, which the generic builder can compute.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_DECOMPOSEROWOPS
#include "passes/Passes.h.inc"

namespace {

/// Builds the operations that stand for one row operation on `input`, of which
/// the dims in `row` are one row.
struct Rows {
  OpBuilder &b;
  Location loc;
  Value input;
  llvm::SmallBitVector row;
  SmallVector<OpFoldResult> known = {}; ///< sizes; empty: those of `input`

  RankedTensorType type() const {
    return cast<RankedTensorType>(input.getType());
  }
  Type element() const { return type().getElementType(); }
  unsigned rank() const { return type().getRank(); }
  Value real(double value) const {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(element(), value));
  }

  /// The map of operands that have one element per row, or one per position in
  /// a row, or all.
  AffineMap map(bool perRow, bool inRow) const {
    SmallVector<AffineExpr> dims;
    for (unsigned dim : llvm::seq(rank()))
      if (row[dim] ? inRow : perRow)
        dims.push_back(b.getAffineDimExpr(dim));
    return AffineMap::get(rank(), 0, dims, b.getContext());
  }
  AffineMap mapOf(Value value) const {
    unsigned size = cast<RankedTensorType>(value.getType()).getRank();
    if (size == rank())
      return map(true, true);
    return size == row.count() && parameters.contains(value) ? map(false, true)
                                                             : map(true, false);
  }

  Value empty(AffineMap map) const {
    SmallVector<OpFoldResult> sizes;
    for (AffineExpr dim : map.getResults()) {
      unsigned position = cast<AffineDimExpr>(dim).getPosition();
      sizes.push_back(known.empty()
                          ? tensor::getMixedSize(b, loc, input, position)
                          : known[position]);
    }
    return tensor::EmptyOp::create(b, loc, sizes, element());
  }

  using Function = llvm::function_ref<Value(OpBuilder &, Location, ValueRange)>;
  Value generic(ValueRange inputs, Value init, AffineMap result,
                ArrayRef<utils::IteratorType> loops, Function body) const {
    SmallVector<AffineMap> maps;
    for (Value operand : inputs)
      maps.push_back(mapOf(operand));
    maps.push_back(result);
    return linalg::GenericOp::create(
               b, loc, init.getType(), inputs, init, maps, loops,
               [&](OpBuilder &b, Location loc, ValueRange arguments) {
                 linalg::YieldOp::create(b, loc, body(b, loc, arguments));
               })
        .getResult(0);
  }
  Value elementwise(ValueRange inputs, Function body) const {
    return generic(
        inputs, empty(map(true, true)), map(true, true),
        SmallVector<utils::IteratorType>(rank(), utils::IteratorType::parallel),
        body);
  }
  /// One value per row; the body's last argument is the running one.
  Value reduce(ValueRange inputs, double start, Function body) const {
    SmallVector<utils::IteratorType> loops;
    for (unsigned dim : llvm::seq(rank()))
      loops.push_back(row[dim] ? utils::IteratorType::reduction
                               : utils::IteratorType::parallel);
    Value init =
        linalg::FillOp::create(b, loc, real(start), empty(map(true, false)))
            .getResult(0);
    return generic(inputs, init, map(true, false), loops, body);
  }
  /// The number of elements of a row.
  Value count() const {
    Value count = arith::ConstantIndexOp::create(b, loc, 1);
    for (unsigned dim : row.set_bits())
      count = b.createOrFold<arith::MulIOp>(
          loc, count,
          getValueOrCreateConstantIndexOp(
              b, loc, tensor::getMixedSize(b, loc, input, dim)));
    return arith::SIToFPOp::create(
        b, loc, element(),
        arith::IndexCastOp::create(b, loc, b.getI64Type(), count));
  }

  llvm::SmallPtrSet<Value, 2> parameters =
      {}; ///< operands with one element per position in a row
};

Value decompose(const Rows &rows, SoftmaxOp) {
  Value greatest = rows.reduce(
      rows.input, -INFINITY, [](OpBuilder &b, Location loc, ValueRange v) {
        return arith::MaximumFOp::create(b, loc, v[0], v[1]).getResult();
      });
  Value powers = rows.elementwise(
      {rows.input, greatest}, [](OpBuilder &b, Location loc, ValueRange v) {
        return math::ExpOp::create(b, loc,
                                   arith::SubFOp::create(b, loc, v[0], v[1]))
            .getResult();
      });
  Value sum =
      rows.reduce(powers, 0, [](OpBuilder &b, Location loc, ValueRange v) {
        return arith::AddFOp::create(b, loc, v[0], v[1]).getResult();
      });
  return rows.elementwise(
      {powers, sum}, [](OpBuilder &b, Location loc, ValueRange v) {
        return arith::DivFOp::create(b, loc, v[0], v[1]).getResult();
      });
}

/// x / sqrt(mean(x²) + epsilon) * scale + bias, of a row that is centred
/// already if it is to be.
Value normalize(const Rows &rows, Value centred, Value count, float epsilon,
                Value scale, Value bias) {
  Value squares =
      rows.reduce(centred, 0, [](OpBuilder &b, Location loc, ValueRange v) {
        return arith::AddFOp::create(b, loc, v[1],
                                     arith::MulFOp::create(b, loc, v[0], v[0]))
            .getResult();
      });
  SmallVector<Value> inputs{centred, squares, scale};
  if (bias)
    inputs.push_back(bias);
  Value offset = rows.real(epsilon);
  return rows.elementwise(
      inputs, [&](OpBuilder &b, Location loc, ValueRange v) -> Value {
        Value variance = arith::AddFOp::create(
            b, loc, arith::DivFOp::create(b, loc, v[1], count), offset);
        Value unit = arith::DivFOp::create(
            b, loc, v[0], math::SqrtOp::create(b, loc, variance));
        Value scaled = arith::MulFOp::create(b, loc, unit, v[2]);
        return bias ? arith::AddFOp::create(b, loc, scaled, v[3]).getResult()
                    : scaled;
      });
}

Value decompose(Rows &rows, RMSNormOp op) {
  rows.parameters.insert(op.getScale());
  return normalize(rows, rows.input, rows.count(),
                   op.getEpsilon().convertToFloat(), op.getScale(), {});
}

Value decompose(Rows &rows, LayerNormOp op) {
  rows.parameters.insert(op.getScale());
  if (op.getBias())
    rows.parameters.insert(op.getBias());
  Value count = rows.count();
  Value sum =
      rows.reduce(rows.input, 0, [](OpBuilder &b, Location loc, ValueRange v) {
        return arith::AddFOp::create(b, loc, v[0], v[1]).getResult();
      });
  Value centred = rows.elementwise(
      {rows.input, sum}, [&](OpBuilder &b, Location loc, ValueRange v) {
        return arith::SubFOp::create(b, loc, v[0],
                                     arith::DivFOp::create(b, loc, v[1], count))
            .getResult();
      });
  return normalize(rows, centred, count, op.getEpsilon().convertToFloat(),
                   op.getScale(), op.getBias());
}

/// With a dim of its own for the elements of a block.
void decompose(RoundBlocksOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getInput().getType());
  int64_t rank = type.getRank(), block = op.getBlock();
  SmallVector<int64_t> shape(type.getShape());
  shape.back() /= block;
  shape.push_back(block);
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(b, loc, op.getInput());
  sizes.back() = b.getIndexAttr(shape[rank - 1]);
  sizes.push_back(b.getIndexAttr(block));
  SmallVector<ReassociationIndices> dims;
  for (int64_t dim : llvm::seq(rank))
    dims.push_back({dim});
  dims.back().push_back(rank);
  Value blocks = tensor::ExpandShapeOp::create(b, loc, type.clone(shape),
                                               op.getInput(), dims, sizes);
  Rows rows{b, loc, blocks, llvm::SmallBitVector(rank + 1), sizes};
  rows.row.set(rank);
  Value greatest =
      rows.reduce(blocks, 0, [](OpBuilder &b, Location loc, ValueRange v) {
        Value size = math::AbsFOp::create(b, loc, v[0]);
        return arith::MaximumFOp::create(b, loc, v[1], size).getResult();
      });
  auto real = [&](double value) { return rows.real(value); };
  Value steps = real(127), least = real(0x1p-120), zero = real(0);
  Value rounded = rows.elementwise(
      {blocks, greatest},
      [&](OpBuilder &b, Location loc, ValueRange v) -> Value {
        Value isLarge = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGE,
                                              v[1], least);
        Value inverse = arith::SelectOp::create(
            b, loc, isLarge, arith::DivFOp::create(b, loc, steps, v[1]), zero);
        Value integer = math::RoundEvenOp::create(
            b, loc, arith::MulFOp::create(b, loc, v[0], inverse));
        return arith::MulFOp::create(
            b, loc, integer, arith::DivFOp::create(b, loc, v[1], steps));
      });
  op.replaceAllUsesWith(
      tensor::CollapseShapeOp::create(b, loc, type, rounded, dims).getResult());
  op.erase();
}

struct DecomposeRowOps : impl::DecomposeRowOpsBase<DecomposeRowOps> {
  void runOnOperation() override {
    getOperation()->walk([&](Operation *op) {
      auto kernel = op->getParentOfType<KernelOp>();
      if (kernel && kernel.getSchedule() &&
          kernel.getSchedule()->getKind() != "generic")
        return;
      if (auto round = dyn_cast<RoundBlocksOp>(op))
        return decompose(round);
      llvm::TypeSwitch<Operation *>(op).Case<SoftmaxOp, LayerNormOp, RMSNormOp>(
          [](auto op) {
            OpBuilder builder(op);
            auto type = cast<RankedTensorType>(op.getInput().getType());
            Rows rows{builder, op.getLoc(), op.getInput(),
                      llvm::SmallBitVector(type.getRank())};
            if (isa<SoftmaxOp>(op.getOperation()))
              rows.row.set(op.getAxis());
            else
              rows.row.set(op.getAxis(), type.getRank());
            Value result = decompose(rows, op);
            if (result.getType() != op.getType())
              result = tensor::CastOp::create(builder, op.getLoc(),
                                              op.getType(), result);
            op.replaceAllUsesWith(result);
            op.erase();
          });
    });
  }
};
} // namespace
} // namespace fulgur
