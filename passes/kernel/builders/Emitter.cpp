#include "passes/kernel/builders/Emitter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

static constexpr auto nsw = arith::IntegerOverflowFlags::nsw;

std::optional<int64_t> fulgur::known(Value value) {
  return getConstantIntValue(value);
}

Value Emitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value Emitter::real(double value, Type type) {
  TypedAttr attr = FloatAttr::get(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, attr);
  return arith::ConstantOp::create(builder, loc, attr);
}

Value Emitter::integer(int64_t value, Type type) {
  TypedAttr attr = builder.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, attr);
  return arith::ConstantOp::create(builder, loc, attr);
}

Value Emitter::zero(Type type) {
  return arith::ConstantOp::create(builder, loc,
                                   cast<TypedAttr>(builder.getZeroAttr(type)));
}

Value Emitter::add(Value a, Value b) {
  if (known(a) == 0)
    return b;
  return builder.createOrFold<arith::AddIOp>(loc, a, b, nsw);
}

Value Emitter::sub(Value a, Value b) {
  return builder.createOrFold<arith::SubIOp>(loc, a, b, nsw);
}

Value Emitter::mul(Value a, Value b) {
  if (known(a) == 1)
    return b;
  if (known(a) == 0)
    return a;
  return builder.createOrFold<arith::MulIOp>(loc, a, b, nsw);
}

Value Emitter::min(Value a, Value b) {
  return builder.createOrFold<arith::MinSIOp>(loc, a, b);
}
Value Emitter::max(Value a, Value b) {
  return builder.createOrFold<arith::MaxSIOp>(loc, a, b);
}

// Sizes are never negative, so the unsigned forms, which cost less, are right.
Value Emitter::ceilDiv(Value a, Value b) {
  return builder.createOrFold<arith::CeilDivUIOp>(loc, a, b);
}
Value Emitter::floorDiv(Value a, Value b) {
  return builder.createOrFold<arith::DivUIOp>(loc, a, b);
}
Value Emitter::remainder(Value a, Value b) {
  if (known(b) == 1)
    return index(0);
  return builder.createOrFold<arith::RemUIOp>(loc, a, b);
}

Value Emitter::less(Value a, Value b) {
  return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, a,
                                             b);
}

Value Emitter::dim(Value memref, unsigned position) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(position))
    return index(type.getDimSize(position));
  return memref::DimOp::create(builder, loc, memref, position);
}

Value Emitter::greater(Value a, Value b) {
  Value above =
      arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, a, b);
  return arith::SelectOp::create(builder, loc, above, a, b);
}

Value Emitter::broadcast(Value scalar, int64_t lanes) {
  return builder.createOrFold<vector::BroadcastOp>(
      loc, VectorType::get(lanes, scalar.getType()), scalar);
}

Value Emitter::iota(int64_t lanes, Type type) {
  SmallVector<Attribute> values;
  for (int64_t lane : llvm::seq(lanes))
    values.push_back(IntegerAttr::get(type, lane));
  return arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(VectorType::get(lanes, type), values));
}

Value Emitter::lanesBelow(Value count, int64_t lanes) {
  Value narrow = builder.createOrFold<arith::IndexCastOp>(
      loc, builder.getI32Type(), count);
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt,
                               iota(lanes, builder.getI32Type()),
                               broadcast(narrow, lanes));
}

Value Emitter::reduce(vector::CombiningKind kind, Value vector) {
  auto fast = arith::FastMathFlags::reassoc | arith::FastMathFlags::nnan |
              arith::FastMathFlags::nsz;
  return vector::ReductionOp::create(builder, loc, kind, vector, fast);
}

void Emitter::inOrder() {
  LLVM::FenceOp::create(builder, loc, LLVM::AtomicOrdering::acq_rel,
                        "singlethread"); // no instruction
}

Value Emitter::flatten(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.getRank() == 1)
    return memref;
  if (type.getRank() == 0)
    return memref::ExpandShapeOp::create(builder, loc, ArrayRef<int64_t>{1},
                                         memref,
                                         ArrayRef<ReassociationIndices>{});
  SmallVector<ReassociationIndices> all{
      llvm::to_vector<2>(llvm::seq<int64_t>(0, type.getRank()))};
  MemRefType flat = memref::CollapseShapeOp::computeCollapsedType(type, all);
  // MLIR takes 0 times an unknown size for 0, but wants it to be unknown.
  if (!type.hasStaticShape() && flat.hasStaticShape())
    flat = MemRefType::Builder(flat).setShape({ShapedType::kDynamic});
  return memref::CollapseShapeOp::create(builder, loc, flat, memref, all);
}

void Emitter::loop(Value from, Value to, int64_t step, Body body) {
  loop(from, to, step, ValueRange(), [&](Value index, ValueRange) {
    body(index);
    return SmallVector<Value>();
  });
}

SmallVector<Value> Emitter::loop(Value from, Value to, int64_t step,
                                 ValueRange state, Reduction body) {
  if (auto first = known(from), last = known(to); first && last) {
    if (*first >= *last)
      return llvm::to_vector(state);
    if (*first + step >= *last)
      return body(from, state);
  }
  auto loop = scf::ForOp::create(builder, loc, from, to, index(step), state);
  OpBuilder::InsertionGuard guard(builder);
  if (state.empty()) // then the loop has its terminator already
    builder.setInsertionPointToStart(loop.getBody());
  else
    builder.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!state.empty())
    scf::YieldOp::create(builder, loc, next);
  return llvm::to_vector(ValueRange(loop.getResults()));
}

void Emitter::parallel(Value count, Body body) {
  auto forall = scf::ForallOp::create(
      builder, loc, ArrayRef<OpFoldResult>{getAsOpFoldResult(count)},
      ValueRange(), std::nullopt);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(forall.getBody());
  body(forall.getInductionVar(0));
}

Value Emitter::evenTasks(Value tasks) {
  Value even = mul(ceilDiv(tasks, index(4)), 4);
  return builder.createOrFold<arith::SelectOp>(loc, less(tasks, index(3)),
                                               tasks, even);
}

std::pair<Value, Value> Emitter::part(Value number, Value count, Value parts) {
  return {floorDiv(mul(number, count), parts),
          floorDiv(mul(add(number, 1), count), parts)};
}

void Emitter::share(Value count, Value grain, Part body) {
  Value tasks = min(evenTasks(ceilDiv(count, max(grain, index(1)))), count);
  auto total = known(count), pieces = known(tasks);
  parallel(tasks, [&](Value task) {
    if (total && pieces && *pieces && *total % *pieces == 0) {
      Value from = mul(task, *total / *pieces);
      return body(from, add(from, *total / *pieces));
    }
    auto [from, to] = part(task, count, tasks);
    body(from, to);
  });
}

void Emitter::branch(Value condition, llvm::function_ref<void()> then,
                     llvm::function_ref<void()> otherwise) {
  if (auto decided = known(condition)) {
    if (*decided)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto op = scf::IfOp::create(builder, loc, condition,
                              /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(op.thenBlock());
  then();
  if (!otherwise)
    return;
  builder.setInsertionPointToStart(op.elseBlock());
  otherwise();
}

void Emitter::choose(Value value, int64_t from, int64_t to,
                     llvm::function_ref<void(int64_t)> body) {
  SmallVector<int64_t> cases = llvm::to_vector(llvm::seq(from, to));
  auto choice = scf::IndexSwitchOp::create(builder, loc, TypeRange(), value,
                                           cases, cases.size());
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&choice.getDefaultRegion());
  scf::YieldOp::create(builder, loc);
  for (auto [region, number] : llvm::zip(choice.getCaseRegions(), cases)) {
    builder.createBlock(&region);
    body(number);
    scf::YieldOp::create(builder, loc);
  }
}
