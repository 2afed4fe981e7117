#include "passes/kernel/builders/Rows.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kTaskElements = 32 << 10; // about 20 microseconds

static bool isF32Argument(Value value) {
  return !value || (isa<BlockArgument>(value) &&
                    getElementTypeOrSelf(value.getType()).isF32());
}

bool fulgur::isRoundingLoop(linalg::GenericOp loop) {
  if (loop.getNumDpsInputs() != 1 || loop.getNumResults() != 1 ||
      loop.getNumReductionLoops() != 0 ||
      !llvm::all_of(loop.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return false;
  Block *body = loop.getBody();
  auto rounding =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::TruncFOp>();
  return rounding && rounding.getIn() == body->getArgument(0) &&
         rounding.getIn().getType().isF32() && rounding.getType().isBF16();
}

std::optional<RowKernel> fulgur::matchRows(KernelOp kernel) {
  RowKernel rows{};
  SmallVector<Value> yielded = llvm::to_vector(kernel.yield().getValues());
  if (auto loop = yielded[0].getDefiningOp<linalg::GenericOp>();
      loop && isRoundingLoop(loop)) {
    Value wide = loop.getDpsInputs()[0];
    if (isa_and_nonnull<SoftmaxOp>(wide.getDefiningOp()) ||
        (yielded.size() > 1 && yielded[1] != wide))
      return std::nullopt;
    rows.roundedOut = 0;
    if (yielded.size() > 1)
      rows.out = 1;
    yielded = {wide};
  } else {
    rows.out = 0;
  }
  rows.operation = yielded[0].getDefiningOp();
  if (auto softmax = dyn_cast_or_null<SoftmaxOp>(rows.operation))
    rows.axis = softmax.getAxis();
  else if (auto norm = dyn_cast_or_null<LayerNormOp>(rows.operation))
    rows.axis = norm.getAxis();
  else if (auto norm = dyn_cast_or_null<RMSNormOp>(rows.operation))
    rows.axis = norm.getAxis();
  else
    return std::nullopt;
  Value input = rows.operation->getOperand(0);
  auto type = cast<RankedTensorType>(input.getType());
  bool lastDim = rows.axis == type.getRank() - 1;
  if (!type.getElementType().isF32() ||
      (isa<SoftmaxOp>(rows.operation) && !lastDim))
    return std::nullopt;
  if (!llvm::all_of(rows.operation->getOperands().drop_front(), isF32Argument))
    return std::nullopt;
  if (yielded.size() == 2 && yielded[1] == input)
    rows.producerOut = 1;
  else if (yielded.size() != 1)
    return std::nullopt;
  if (isa<BlockArgument>(input) && !rows.producerOut)
    return rows;
  rows.producer = input.getDefiningOp<linalg::GenericOp>();
  if (!rows.producer || !rows.out || !lastDim || !isLanewise(rows.producer) ||
      rows.producer.getNumDpsInits() != 1 ||
      rows.producer.getNumLoops() != type.getRank() ||
      !rows.producer.getMatchingIndexingMap(rows.producer.getDpsInitOperand(0))
           .isIdentity() ||
      !llvm::all_of(rows.producer.getInputs(), llvm::IsaPred<BlockArgument>))
    return std::nullopt;
  return rows;
}

ScheduleAttr fulgur::scheduleRows(KernelOp kernel, const Target &target,
                                  StringRef kind) {
  RowKernel rows = *matchRows(kernel);
  auto type = cast<RankedTensorType>(rows.operation->getOperand(0).getType());
  int64_t columns = 1;
  for (int64_t size : type.getShape().drop_front(rows.axis))
    columns = ShapedType::isDynamic(size) || ShapedType::isDynamic(columns)
                  ? ShapedType::kDynamic
                  : columns * size;
  int64_t grain =
      ShapedType::isDynamic(columns)
          ? 0
          : std::max<int64_t>(1, kTaskElements / std::max<int64_t>(columns, 1));
  return ScheduleAttr::get(kernel.getContext(), kind, {}, target.lanes(),
                           /*unroll=*/4, /*pack=*/0, grain);
}

SmallVector<ScheduleAttr> fulgur::alternativesOfRows(KernelOp kernel,
                                                     const Target &,
                                                     ScheduleAttr chosen) {
  SmallVector<ScheduleAttr> schedules;
  auto add = [&](int64_t unroll, int64_t grain) {
    schedules.push_back(ScheduleAttr::get(kernel.getContext(), chosen.getKind(),
                                          {}, chosen.getLanes(), unroll,
                                          /*pack=*/0, grain));
  };
  for (int64_t unroll : {1, 2, 8})
    add(unroll, chosen.getGrain());
  if (int64_t grain = chosen.getGrain()) {
    add(chosen.getUnroll(), std::max<int64_t>(1, grain / 2));
    add(chosen.getUnroll(), grain * 2);
  }
  return schedules;
}

void RowEmitter::rows(llvm::function_ref<void()> row) {
  Value any = site.outs[0];
  auto type = cast<MemRefType>(any.getType());
  columns = e.index(1);
  Value rowCount = e.index(1);
  for (int64_t position : llvm::seq(type.getRank())) {
    Value size = e.dim(any, position);
    (position < kernel.axis ? rowCount : columns) =
        e.mul(position < kernel.axis ? rowCount : columns, size);
    if (position < kernel.axis)
      outerSizes.push_back(size);
  }
  if (kernel.producer) {
    for (auto [number, value] : llvm::enumerate(kernel.producer.getInputs()))
      producerInputs.push_back(accessOf(e, site.operand(value),
                                        loopsOf(kernel.producer, number),
                                        type.getRank()));
    input = e.flatten(site.outs[kernel.producerOut.value_or(*kernel.out)]);
  } else {
    input = e.flatten(site.operand(kernel.operation->getOperand(0)));
  }
  if (kernel.out)
    out = e.flatten(site.outs[*kernel.out]);
  if (kernel.roundedOut)
    rounded = e.flatten(site.outs[*kernel.roundedOut]);
  Value grain = schedule.getGrain()
                    ? e.index(schedule.getGrain())
                    : e.add(e.floorDiv(e.index(kTaskElements),
                                       e.max(columns, e.index(1))),
                            1);
  e.share(rowCount, grain, [&](Value from, Value to) {
    e.loop(from, to, 1, [&](Value index) {
      outerIndex = index;
      rowAt = e.mul(index, columns);
      row();
    });
  });
}

SmallVector<Value> RowEmitter::point(Value column) {
  SmallVector<Value> indices(outerSizes.size() + 1);
  Value rest = outerIndex;
  for (int64_t loop = int64_t(outerSizes.size()) - 1; loop >= 0; --loop) {
    indices[loop] = loop ? e.remainder(rest, outerSizes[loop]) : rest;
    if (loop)
      rest = e.floorDiv(rest, outerSizes[loop]);
  }
  indices.back() = column;
  return indices;
}

Value RowEmitter::reduce(vector::CombiningKind kind, double start, Step step) {
  auto combine = [&](Value a, Value b) -> Value {
    if (kind == vector::CombiningKind::MAXNUMF)
      return e.greater(a, b);
    return arith::AddFOp::create(e.builder, e.loc, a, b);
  };
  SmallVector<Value> running(unroll, e.real(start, vectorType()));
  Value wideTo = e.sub(columns, e.remainder(columns, e.index(unroll * lanes))),
        wholeTo = e.sub(columns, e.remainder(columns, e.index(lanes)));
  running = e.loop(e.index(0), wideTo, unroll * lanes, running,
                   [&](Value column, ValueRange state) {
                     SmallVector<Value> next = llvm::to_vector(state);
                     for (int64_t u : llvm::seq(unroll))
                       next[u] = step(e.add(column, u * lanes), {lanes, {}},
                                      state[u]);
                     return next;
                   });
  while (running.size() > 1) {
    Value last = running.pop_back_val();
    running[running.size() / 2] = combine(last, running[running.size() / 2]);
  }
  running = e.loop(
      wideTo, wholeTo, lanes, running, [&](Value column, ValueRange state) {
        return SmallVector<Value>{step(column, {lanes, {}}, state[0])};
      });
  // The last columns are a loop of at most one step.
  running = e.loop(
      wholeTo, columns, lanes, running, [&](Value column, ValueRange state) {
        return SmallVector<Value>{
            step(column, {lanes, e.lanesBelow(e.sub(columns, column), lanes)},
                 state[0])};
      });
  return e.reduce(kind, running[0]);
}

void RowEmitter::each(llvm::function_ref<void(Value, Columns)> step) {
  Value wideTo = e.sub(columns, e.remainder(columns, e.index(unroll * lanes))),
        wholeTo = e.sub(columns, e.remainder(columns, e.index(lanes)));
  e.loop(e.index(0), wideTo, unroll * lanes, [&](Value column) {
    for (int64_t u : llvm::seq(unroll))
      step(e.add(column, u * lanes), {lanes, {}});
  });
  e.loop(wideTo, wholeTo, lanes,
         [&](Value column) { step(column, {lanes, {}}); });
  e.loop(wholeTo, columns, lanes, [&](Value column) {
    step(column, {lanes, e.lanesBelow(e.sub(columns, column), lanes)});
  });
}

Value RowEmitter::first(Value column, Columns cols) {
  if (!kernel.producer)
    return read(column, cols);
  SmallVector<Value> indices = point(column), arguments;
  for (Access &access : producerInputs)
    arguments.push_back(readColumns(e, access.flat, access.at(e, indices),
                                    access.steps.back(), cols));
  auto loopIndex = [&](unsigned loop) -> Value {
    Value scalar = e.broadcast(indices[loop], lanes);
    if (loop + 1 < indices.size())
      return scalar;
    return arith::AddIOp::create(e.builder, e.loc, scalar,
                                 e.iota(lanes, e.builder.getIndexType()));
  };
  Value computed =
      computeLanes(e, site, kernel.producer, arguments, lanes, loopIndex)[0];
  writeColumns(e, computed, input, e.add(rowAt, column), {}, cols);
  return computed;
}

Value RowEmitter::read(Value column, Columns cols) {
  return readColumns(e, input, e.add(rowAt, column), e.index(1), cols);
}

void RowEmitter::write(Value vector, Value column, Columns cols) {
  Value position = e.add(rowAt, column);
  if (out)
    writeColumns(e, vector, out, position, {}, cols);
  if (!rounded)
    return;
  auto type = cast<VectorType>(vector.getType()).clone(e.builder.getBF16Type());
  writeColumns(e, arith::TruncFOp::create(e.builder, e.loc, type, vector),
               rounded, position, {}, cols);
}

Value RowEmitter::where(Columns cols, Value vector, double other) {
  if (!cols.mask)
    return vector;
  return arith::SelectOp::create(e.builder, e.loc, cols.mask, vector,
                                 e.real(other, vector.getType()));
}

Value RowEmitter::columnCountAsFloat() {
  if (auto count = known(columns))
    return e.real(*count, e.builder.getF32Type());
  Value count = arith::IndexCastOp::create(e.builder, e.loc,
                                           e.builder.getI64Type(), columns);
  return arith::SIToFPOp::create(e.builder, e.loc, e.builder.getF32Type(),
                                 count);
}
