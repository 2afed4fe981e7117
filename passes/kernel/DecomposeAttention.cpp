// Attention that no builder takes, as what it is defined by: a product, the
// score, a softmax over the keys and another product.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_DECOMPOSEATTENTION
#include "passes/Passes.h.inc"

namespace {
/// One attention in loops over the batch, queries i, keys j, and what is summed
/// or taken along.
struct Decomposition {
  OpBuilder &b;
  AttentionOp op;
  Location loc = op.getLoc();
  SmallVector<AffineMap> maps = op.mapList();
  unsigned loops = op.numLoops();
  Type element = op.getScore().getArgument(0).getType();
  SmallVector<Value> operands{};

  Value real(double value) {
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(element, value));
  }

  /// The size of a loop of the attention, from the first operand that has it.
  OpFoldResult size(unsigned loop) {
    for (auto [map, operand] : llvm::zip(maps, operands))
      if (auto dim = map.getResultPosition(b.getAffineDimExpr(loop)))
        return tensor::getMixedSize(b, loc, operand, *dim);
    return b.getIndexAttr(1);
  }

  Value empty(ArrayRef<unsigned> order) {
    SmallVector<OpFoldResult> sizes;
    for (unsigned loop : order)
      sizes.push_back(size(loop));
    return tensor::EmptyOp::create(b, loc, sizes, element);
  }

  /// `map`, of the attention's loops, for a nest of the loops in `order`.
  AffineMap within(AffineMap map, ArrayRef<unsigned> order) {
    SmallVector<AffineExpr> dims(loops, b.getAffineConstantExpr(0));
    for (auto [place, loop] : llvm::enumerate(order))
      dims[loop] = b.getAffineDimExpr(place);
    return map.replaceDimsAndSymbols(dims, {}, order.size(), 0);
  }
  AffineMap mapOf(ArrayRef<unsigned> picked) {
    SmallVector<AffineExpr> dims;
    for (unsigned loop : picked)
      dims.push_back(b.getAffineDimExpr(loop));
    return AffineMap::get(loops, 0, dims, b.getContext());
  }

  using Body = llvm::function_ref<Value(ValueRange)>;
  /// A loop over `order`, of which those in `summed` are reductions.
  Value generic(ArrayRef<unsigned> order, ArrayRef<unsigned> summed,
                ArrayRef<std::pair<Value, AffineMap>> inputs, Value init,
                AffineMap result, Body body) {
    SmallVector<Value> ins;
    SmallVector<AffineMap> in;
    for (auto [value, map] : inputs) {
      ins.push_back(value);
      in.push_back(within(map, order));
    }
    in.push_back(within(result, order));
    SmallVector<utils::IteratorType> kinds;
    for (unsigned loop : order)
      kinds.push_back(llvm::is_contained(summed, loop)
                          ? utils::IteratorType::reduction
                          : utils::IteratorType::parallel);
    return linalg::GenericOp::create(
               b, loc, init.getType(), ins, init, in, kinds,
               [&](OpBuilder &inside, Location, ValueRange v) {
                 OpBuilder::InsertionGuard guard(b);
                 b.restoreInsertionPoint(inside.saveInsertionPoint());
                 Value yielded = body(v);
                 inside.restoreInsertionPoint(b.saveInsertionPoint());
                 linalg::YieldOp::create(inside, loc, yielded);
               })
        .getResult(0);
  }
  Value filled(ArrayRef<unsigned> order, double value) {
    return linalg::FillOp::create(b, loc, real(value), empty(order))
        .getResult(0);
  }
  Value widen(Value x) {
    if (x.getType() == element)
      return x;
    return arith::ExtFOp::create(b, loc, element, x);
  }

  /// The body of the score on the loops' values.
  Value score(ValueRange v, unsigned i, unsigned j) {
    IRMapping mapping;
    Block &body = op.getScore().front();
    Value query = linalg::IndexOp::create(b, loc, i),
          key = linalg::IndexOp::create(b, loc, j);
    mapping.map(body.getArgument(0), v[0]);
    mapping.map(body.getArgument(1), query);
    mapping.map(body.getArgument(2), key);
    for (auto [argument, value] :
         llvm::zip(body.getArguments().drop_front(3), v.drop_front()))
      mapping.map(argument, value);
    for (Operation &nested : body.without_terminator())
      b.clone(nested, mapping);
    Value result = mapping.lookupOrDefault(body.getTerminator()->getOperand(0));
    if (!op.getOffset())
      return result;
    Value last = arith::AddIOp::create(b, loc, query, op.getOffset());
    if (op.getOffsets())
      last = arith::AddIOp::create(
          b, loc, last,
          arith::IndexCastOp::create(b, loc, b.getIndexType(), v.back()));
    Value sees =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, key, last);
    if (auto window = op.getWindow()) {
      Value first = arith::SubIOp::create(
          b, loc, last, arith::ConstantIndexOp::create(b, loc, *window));
      sees = arith::AndIOp::create(
          b, loc, sees,
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, key, first));
    }
    return arith::SelectOp::create(b, loc, sees, result, real(-INFINITY));
  }

  Value run() {
    operands = {op.getQuery(), op.getKey(), op.getValue()};
    llvm::append_range(operands, op.getExtras());
    if (op.getSink())
      operands.push_back(op.getSink());
    if (op.getOffsets())
      operands.push_back(op.getOffsets());
    unsigned d = op.depthLoop(), j = op.keyLoop(), n = op.columnLoop();
    SmallVector<unsigned> rows =
        llvm::to_vector(llvm::seq<unsigned>(0, loops - 3)); // batch and i
    SmallVector<unsigned> scores(rows), products, outs(rows), last;
    scores.push_back(j);
    products = scores, products.push_back(d);
    outs.push_back(n);
    last = outs, last.push_back(j);
    AffineMap rowMap = mapOf(rows), scoreMap = mapOf(scores);

    Value s =
        generic(products, d, {{operands[0], maps[0]}, {operands[1], maps[1]}},
                filled(scores, 0), scoreMap, [&](ValueRange v) -> Value {
                  return arith::AddFOp::create(
                      b, loc, v[2],
                      arith::MulFOp::create(b, loc, widen(v[0]), widen(v[1])));
                });
    SmallVector<std::pair<Value, AffineMap>> in{{s, scoreMap}};
    for (auto [extra, map] :
         llvm::zip(op.getExtras(), ArrayRef(maps).drop_front(3)))
      in.push_back({extra, map});
    if (op.getOffsets())
      in.push_back({op.getOffsets(), maps[maps.size() - 2]});
    s = generic(scores, {}, in, empty(scores), scoreMap, [&](ValueRange v) {
      return score(v.drop_back(), loops - 4, loops - 3);
    });

    // The sink is where the maximum and the sum begin.
    Value greatest = filled(rows, -INFINITY), total = filled(rows, 0);
    std::pair<Value, AffineMap> sink{op.getSink(),
                                     maps[3 + op.getExtras().size()]};
    if (sink.first)
      greatest = generic(rows, {}, {sink}, empty(rows), rowMap,
                         [&](ValueRange v) { return widen(v[0]); });
    greatest = generic(scores, j, {{s, scoreMap}}, greatest, rowMap,
                       [&](ValueRange v) -> Value {
                         return arith::MaximumFOp::create(b, loc, v[0], v[1]);
                       });
    if (op.getZeroEmptyRows())
      greatest =
          generic(rows, {}, {{greatest, rowMap}}, empty(rows), rowMap,
                  [&](ValueRange v) -> Value {
                    Value none =
                        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ,
                                              v[0], real(-INFINITY));
                    return arith::SelectOp::create(b, loc, none, real(0), v[0]);
                  });
    auto power = [&](Value x, Value greatest) -> Value {
      Value difference = arith::SubFOp::create(b, loc, x, greatest);
      if (op.getAverageEmptyRows()) // all of the row weigh the same
        difference = arith::SelectOp::create(
            b, loc,
            arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, greatest,
                                  real(-INFINITY)),
            real(0), difference);
      return math::ExpOp::create(b, loc, difference);
    };
    if (sink.first)
      total = generic(rows, {}, {sink, {greatest, rowMap}}, empty(rows), rowMap,
                      [&](ValueRange v) { return power(widen(v[0]), v[1]); });
    s = generic(scores, {}, {{s, scoreMap}, {greatest, rowMap}}, empty(scores),
                scoreMap, [&](ValueRange v) { return power(v[0], v[1]); });
    total = generic(scores, j, {{s, scoreMap}}, total, rowMap,
                    [&](ValueRange v) -> Value {
                      return arith::AddFOp::create(b, loc, v[1], v[0]);
                    });
    Value sums = generic(
        last, j, {{s, scoreMap}, {operands[2], maps[2]}}, filled(outs, 0),
        mapOf(outs), [&](ValueRange v) -> Value {
          return arith::AddFOp::create(
              b, loc, v[2], arith::MulFOp::create(b, loc, v[0], widen(v[1])));
        });
    auto type = cast<RankedTensorType>(op.getType());
    SmallVector<OpFoldResult> sizes;
    for (AffineExpr expr : op.resultMap().getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      sizes.push_back(dim ? size(dim.getPosition())
                          : OpFoldResult(b.getIndexAttr(1)));
    }
    Value result = generic(
        outs, {}, {{sums, mapOf(outs)}, {total, rowMap}},
        tensor::EmptyOp::create(b, loc, sizes, type.getElementType()),
        op.resultMap(), [&](ValueRange v) -> Value {
          Value quotient = arith::DivFOp::create(b, loc, v[0], v[1]);
          if (op.getZeroEmptyRows()) {
            Value none = arith::CmpFOp::create(
                b, loc, arith::CmpFPredicate::OEQ, v[1], real(0));
            quotient = arith::SelectOp::create(b, loc, none, real(0), quotient);
          }
          if (quotient.getType() == type.getElementType())
            return quotient;
          return arith::TruncFOp::create(b, loc, type.getElementType(),
                                         quotient);
        });
    if (result.getType() != type)
      result = tensor::CastOp::create(b, loc, type, result);
    return result;
  }
};

struct DecomposeAttention : impl::DecomposeAttentionBase<DecomposeAttention> {
  void runOnOperation() override {
    getOperation()->walk([](AttentionOp op) {
      auto kernel = op->getParentOfType<KernelOp>();
      if (kernel && kernel.getSchedule() &&
          kernel.getSchedule()->getKind() != "generic")
        return;
      OpBuilder builder(op);
      op.replaceAllUsesWith(Decomposition{builder, op}.run());
      op.erase();
    });
  }
};
} // namespace
} // namespace fulgur
