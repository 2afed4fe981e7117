// What the loops of attention share: scores and their powers on vectors, and
// products.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Attention.h"
#include "passes/kernel/builders/View.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

static constexpr double kLog2E = 1.4426950408889634;

void AttentionEmitter::access() {
  unsigned count = attention.op.numLoops();
  auto operands = attention.operands();
  SmallVector<View> views;
  for (auto [value, map] : operands)
    views.push_back(viewOf(
        e, site, value == attention.op.getResult() ? attention.out : value));
  for (unsigned loop : llvm::seq(count)) {
    Value size;
    if (auto known = attention.size(loop))
      size = e.index(*known);
    for (auto [operand, view] : llvm::zip(operands, views)) {
      auto position =
          operand.second.getResultPosition(e.builder.getAffineDimExpr(loop));
      if (!size && position)
        size = view.sizes[*position];
    }
    sizes.push_back(size);
  }
  auto accessOf = [&](const View &view, AffineMap map) {
    SmallVector<int> moved;
    for (AffineExpr expr : map.getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      moved.push_back(dim ? int(dim.getPosition()) : -1);
    }
    return view.access(moved, count);
  };
  SmallVector<Access> accesses;
  for (auto [operand, view] : llvm::zip(operands, views))
    accesses.push_back(accessOf(view, operand.second));
  query = accesses[0], key = accesses[1], value = accesses[2];
  auto scaleOf = [&](const std::optional<ScaledCodes> &codes, AffineMap map) {
    return codes && codes->scale ? accessOf(viewOf(e, site, codes->scale),
                                            codes->scaleMap.compose(map))
                                 : Access();
  };
  keyScale = scaleOf(attention.keyCodes, operands[1].second);
  valueScale = scaleOf(attention.valueCodes, operands[2].second);
  auto pastOf = [&](tensor::InsertSliceOp past, AffineMap map, Value &rows) {
    if (!past)
      return Access();
    View view = viewOf(e, site, past.getSource());
    rows = view.sizes[*map.getResultPosition(e.builder.getAffineDimExpr(j))];
    return accessOf(view, map);
  };
  keyPast = pastOf(attention.keyPast, operands[1].second, keyPastRows);
  valuePast = pastOf(attention.valuePast, operands[2].second, valuePastRows);
  out = accesses.pop_back_val();
  if (attention.op.getOffsets())
    offsets = accesses.pop_back_val();
  if (attention.op.getSink())
    sink = accesses.pop_back_val();
  extras.assign(accesses.begin() + 3, accesses.end());
  if (Value given = attention.op.getOffset()) {
    offset = site.operand(given);
    if (!offset)
      offset = e.index(*known(given));
    commonOffset = offset;
  }
}

void AttentionEmitter::copyPast() {
  constexpr int64_t taskElements = 1 << 17;
  auto copy = [&](const Access &past, Value pastRows, const Access &rows,
                  int64_t size) {
    if (!past.flat)
      return;
    Value units = e.index(1), each = e.mul(pastRows, size);
    for (unsigned loop : llvm::seq(i))
      if (rows.steps[loop])
        units = e.mul(units, sizes[loop]);
    Value together = e.floorDiv(e.index(taskElements), e.max(each, e.index(1)));
    e.share(units, together, [&](Value from, Value to) {
      e.loop(from, to, 1, [&](Value unit) {
        SmallVector<Value> point(sizes.size());
        for (unsigned loop = i; loop-- > 0;) {
          if (!rows.steps[loop])
            continue;
          point[loop] = e.remainder(unit, sizes[loop]);
          unit = e.floorDiv(unit, sizes[loop]);
        }
        copyElements(e, {past.flat, past.at(e, point)},
                     {rows.flat, rows.at(e, point)}, each, lanes);
      });
    });
  };
  copy(keyPast, keyPastRows, key, attention.depth);
  copy(valuePast, valuePastRows, value, attention.columns);
}

void AttentionEmitter::enter(ArrayRef<Value> point) {
  if (!offsets.flat)
    return;
  Value own = memref::LoadOp::create(e.builder, e.loc, offsets.flat,
                                     offsets.at(e, point));
  offset =
      e.add(commonOffset, arith::IndexCastOp::create(
                              e.builder, e.loc, e.builder.getIndexType(), own));
}

double AttentionEmitter::queryFactor() {
  if (attention.narrow)
    return 1;
  return attention.factor * (attention.plain ? kLog2E : 1) *
         (attention.keyCodes ? attention.keyCodes->factor : 1);
}

double AttentionEmitter::resultFactor() {
  return attention.valueCodes ? attention.valueCodes->factor : 1;
}

Value AttentionEmitter::scaled(Value vector, const Access &scale, unsigned loop,
                               ArrayRef<Value> point, Columns columns) {
  if (!scale.flat || bool(scale.steps[j]) != (loop == j))
    return vector;
  Value scales = readColumns(e, scale.flat, scale.at(e, point),
                             scale.steps[loop], columns);
  return arith::MulFOp::create(e.builder, e.loc, vector, scales);
}

double AttentionEmitter::powerFactor() {
  if (!attention.plain)
    return kLog2E;
  return attention.narrow ? attention.factor * kLog2E : 1;
}

Value AttentionEmitter::score(Value product, Value query, Value key,
                              ArrayRef<Value> extras) {
  if (attention.plain)
    return product;
  Block &body = attention.op.getScore().front();
  IRMapping lanewise;
  lanewise.map(body.getArgument(0), product);
  if (attention.scaling && !attention.narrow)
    lanewise.map(attention.scaling->getResult(0), product);
  lanewise.map(body.getArgument(1), query);
  lanewise.map(body.getArgument(2), key);
  for (auto [argument, extra] :
       llvm::zip(body.getArguments().drop_front(3), extras))
    lanewise.map(argument, extra);
  return computeLanes(e, site, body, lanewise, lanes)[0];
}

Value AttentionEmitter::logit(Value vector) {
  if (!attention.plain)
    return vector;
  return arith::MulFOp::create(
      e.builder, e.loc, vector,
      e.real(kLog2E / powerFactor(), vector.getType()));
}

Value AttentionEmitter::finite(Value greatest) {
  Value none =
      arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::OEQ,
                            greatest, e.real(-INFINITY, greatest.getType()));
  return arith::SelectOp::create(e.builder, e.loc, none,
                                 e.real(0, greatest.getType()), greatest);
}

/// 2^x = 2^n * 2^f, with n the nearest integer: a polynomial in f whose
/// exponent n is added to. The relative error is below 1.5e-7.
Value AttentionEmitter::power(Value score, Value greatest) {
  OpBuilder &b = e.builder;
  Location loc = e.loc;
  Type type = score.getType();
  Type bits = cast<VectorType>(type).clone(b.getI32Type());
  double factor = powerFactor();
  if (pairs() && attention.plain) {
    // Products that nothing is added to are far from overflowing.
    Value scale = e.real(factor, type);
    Value base = arith::MulFOp::create(b, loc, greatest, e.real(-factor, type));
    return narrowPower(vector::FMAOp::create(b, loc, score, scale, base));
  }
  Value x = arith::SubFOp::create(b, loc, score, greatest);
  // Not before: the least score times log2(e) is not finite.
  if (factor != 1)
    x = arith::MulFOp::create(b, loc, x, e.real(factor, type));
  if (pairs())
    return narrowPower(x);
  constexpr double round = 12582912; // 1.5 * 2^23: n is in the sum's low bits
  Value sum = arith::AddFOp::create(b, loc, x, e.real(round, type)),
        n = arith::SubFOp::create(b, loc, sum, e.real(round, type)),
        f = arith::SubFOp::create(b, loc, x, n);
  static constexpr double coefficients[] = {
      0.001326472731307149, 0.009671512991189957, 0.05550733581185341,
      0.24022242426872253,  0.6931470036506653,   1};
  Value p = e.real(coefficients[0], type);
  for (double coefficient : llvm::drop_begin(coefficients))
    p = vector::FMAOp::create(b, loc, p, f, e.real(coefficient, type));
  Value shift = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(cast<ShapedType>(bits), b.getI32IntegerAttr(23)));
  Value exponent = arith::ShLIOp::create(
      b, loc, arith::BitcastOp::create(b, loc, bits, sum), shift);
  Value result = arith::BitcastOp::create(
      b, loc, type,
      arith::AddIOp::create(b, loc, arith::BitcastOp::create(b, loc, bits, p),
                            exponent));
  // True for NaN, which stays.
  Value normal = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UGE, x,
                                       e.real(-126, type));
  return arith::SelectOp::create(b, loc, normal, result, e.real(0, type));
}

/// 2^x for what is rounded to bfloat16, where instructions take x apart into
/// its integer below and the rest: the relative error is below 7.5e-5.
Value AttentionEmitter::narrowPower(Value x) {
  OpBuilder &b = e.builder;
  Type type = x.getType(), i32 = b.getI32Type();
  Value all = LLVM::ConstantOp::create(b, e.loc, b.getI16Type(), -1),
        current = LLVM::ConstantOp::create(b, e.loc, i32, 4); // rounding
  auto call = [&](StringRef name, ArrayRef<Value> operands) {
    return LLVM::CallIntrinsicOp::create(b, e.loc, type, b.getStringAttr(name),
                                         operands)
        .getResults();
  };
  constexpr int64_t restOfFloor = 9; // without exceptions
  Value rest = call("llvm.x86.avx512.mask.reduce.ps.512",
                    {x, LLVM::ConstantOp::create(b, e.loc, i32, restOfFloor), x,
                     all, current});
  Value p = e.real(0.07802452, type);
  for (double coefficient : {0.22606716, 0.69583354, 0.99992522})
    p = vector::FMAOp::create(b, e.loc, p, rest, e.real(coefficient, type));
  return call("llvm.x86.avx512.mask.scalef.ps.512", {p, x, p, all, current});
}

SmallVector<Value>
AttentionEmitter::multiply(int64_t rows, int64_t vectors, Value steps,
                           SmallVector<Value> sums,
                           llvm::function_ref<Value(Value, int64_t)> left,
                           llvm::function_ref<Value(Value, int64_t)> right,
                           llvm::function_ref<Value(Value, Value, Value)> add) {
  constexpr int64_t unroll = 2;
  auto step = [&](Value k, MutableArrayRef<Value> sums) {
    SmallVector<Value> rightVectors;
    for (int64_t v : llvm::seq(vectors))
      rightVectors.push_back(right(k, v));
    for (int64_t r : llvm::seq(rows)) {
      Value leftVector = left(k, r);
      for (int64_t v : llvm::seq(vectors)) {
        Value &sum = sums[r * vectors + v];
        sum = add ? add(leftVector, rightVectors[v], sum)
                  : vector::FMAOp::create(e.builder, e.loc, leftVector,
                                          rightVectors[v], sum);
      }
    }
  };
  Value unrolledTo = e.sub(steps, e.remainder(steps, e.index(unroll)));
  auto run = [&](Value from, Value to, int64_t together) {
    sums = e.loop(from, to, together, sums, [&](Value k, ValueRange carried) {
      SmallVector<Value> next = llvm::to_vector(carried);
      for (int64_t u : llvm::seq(together))
        step(e.add(k, u), next);
      return next;
    });
  };
  run(e.index(0), unrolledTo, unroll);
  run(unrolledTo, steps, 1);
  return sums;
}

Value AttentionEmitter::seenFrom(Value query) {
  auto window = attention.op.getWindow();
  if (!window)
    return e.index(0);
  return e.max(e.sub(e.add(e.add(query, offset), 1), e.index(*window)),
               e.index(0));
}

Value AttentionEmitter::seenTo(Value query) {
  if (!offset)
    return sizes[j];
  return e.max(e.min(e.add(e.add(query, offset), 1), sizes[j]), e.index(0));
}

Value AttentionEmitter::scalar(Value from, Value at) {
  return e.broadcast(memref::LoadOp::create(e.builder, e.loc, from, at), lanes);
}

Value AttentionEmitter::widen(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  if (type.getElementType().isF32())
    return vector;
  if (type.getElementType().isInteger(8))
    return arith::SIToFPOp::create(e.builder, e.loc,
                                   type.clone(e.builder.getF32Type()), vector);
  return arith::ExtFOp::create(e.builder, e.loc,
                               type.clone(e.builder.getF32Type()), vector);
}

Value AttentionEmitter::readWide(Value flat, Value position, Value step,
                                 Columns columns) {
  return widen(readColumns(e, flat, position, step, columns));
}

Value AttentionEmitter::unlessEmpty(Value result, Value total,
                                    SmallVector<Value> point, int64_t column,
                                    Columns columns) {
  OpBuilder &b = e.builder;
  bool averages = attention.op.getAverageEmptyRows();
  if (!averages && !attention.op.getZeroEmptyRows())
    return result;
  Value zero = e.real(0, vectorType());
  Value isEmpty =
      arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, total, zero);
  if (!averages)
    return arith::SelectOp::create(b, e.loc, isEmpty, zero, result);
  auto choose = scf::IfOp::create(
      b, e.loc, vectorType(),
      vector::ExtractOp::create(b, e.loc, isEmpty, ArrayRef<int64_t>{0}),
      /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choose.elseBlock());
  scf::YieldOp::create(b, e.loc, result);
  b.setInsertionPointToStart(choose.thenBlock());
  bool perKey = valueScale.flat && valueScale.steps[j];
  Value step = value.steps[n] ? value.steps[n] : e.index(1);
  point[n] = e.index(column);
  Value sum =
      e.loop(e.index(0), sizes[j], 1, zero, [&](Value key, ValueRange carried) {
        point[j] = key;
        Value row = readWide(value.flat, value.at(e, point), step, columns);
        if (perKey)
          row = arith::MulFOp::create(
              b, e.loc, row, scalar(valueScale.flat, valueScale.at(e, point)));
        return SmallVector<Value>{
            arith::AddFOp::create(b, e.loc, carried[0], row)};
      })[0];
  Value count = arith::SIToFPOp::create(
      b, e.loc, b.getF32Type(),
      arith::IndexCastOp::create(b, e.loc, b.getI64Type(), sizes[j]));
  Value factor = arith::DivFOp::create(
      b, e.loc, e.real(resultFactor(), b.getF32Type()), count);
  scf::YieldOp::create(
      b, e.loc,
      Value(arith::MulFOp::create(b, e.loc, sum, e.broadcast(factor, lanes))));
  return choose.getResult(0);
}

void AttentionEmitter::writeResult(Value vector, Value position,
                                   Columns columns) {
  if (Type element = out.elementType();
      element != getElementTypeOrSelf(vector.getType()))
    vector = arith::TruncFOp::create(e.builder, e.loc,
                                     VectorType::get(lanes, element), vector);
  writeColumns(e, vector, out.flat, position, out.steps[n], columns);
}

Value AttentionEmitter::onStack(int64_t elements, Type type) {
  return memref::AllocaOp::create(e.builder, e.loc,
                                  MemRefType::get(elements, type),
                                  e.builder.getI64IntegerAttr(64));
}
