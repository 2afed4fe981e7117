// Panels of matrices that are no weights: a task copies the columns that it
// reads to its stack, one step of the reduction after the other.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Gemm.h"
#include "passes/kernel/builders/Transpose.h"

using namespace mlir;
using namespace fulgur;

/// Copies the panel of b for the steps [from, to) to the stack. Columns that do
/// not exist repeat the last one.
void Gemm::pack(Value panelIndex, Value from, Value to) {
  if (depth > 1)
    return packSteps(panelIndex, from, to);
  Value column0 = e.mul(panelIndex, width),
        lastColumn = e.sub(sizes[column()], e.index(1));
  auto panelAt = [&](Value step) { return e.mul(e.sub(step, from), width); };
  auto columnAt = [&](int64_t n) {
    return wholePanels() ? e.add(column0, n)
                         : e.min(e.add(column0, n), lastColumn);
  };
  if (product.bContiguousIn(column())) {
    e.loop(from, to, 1, [&](Value step) {
      auto copy = [&](bool masked) {
        for (int64_t vector : llvm::seq(vectors)) {
          Columns columns{lanes,
                          masked ? columnMask(column0, vector) : Value()};
          Value read = readColumns(
              e, b.flat, positionInB(e.add(column0, vector * lanes), step),
              e.index(1), columns);
          vector::StoreOp::create(e.builder, e.loc, read, panel,
                                  e.add(panelAt(step), vector * lanes));
        }
      };
      if (wholePanels())
        return copy(false);
      e.branch(
          e.less(sizes[column()], e.add(column0, width)), [&] { copy(true); },
          [&] { copy(false); });
    });
    return;
  }
  Value squaresTo = from;
  if (product.bContiguousIn(reduction())) {
    squaresTo = e.sub(to, e.remainder(e.sub(to, from), e.index(lanes)));
    e.loop(from, squaresTo, lanes, [&](Value step) {
      for (int64_t vector : llvm::seq(vectors)) {
        SmallVector<Value> square;
        for (int64_t lane : llvm::seq(lanes))
          square.push_back(vector::LoadOp::create(
              e.builder, e.loc, vectorType(), b.flat,
              positionInB(columnAt(vector * lanes + lane), step)));
        transposeSquare(e, square);
        for (int64_t lane : llvm::seq(lanes))
          vector::StoreOp::create(
              e.builder, e.loc, square[lane], panel,
              e.add(panelAt(e.add(step, lane)), vector * lanes));
      }
    });
  }
  e.loop(squaresTo, to, 1, [&](Value step) {
    e.loop(e.index(0), e.index(width), 1, [&](Value n) {
      Value column = e.min(e.add(column0, n), lastColumn);
      Value element = memref::LoadOp::create(e.builder, e.loc, b.flat,
                                             positionInB(column, step));
      memref::StoreOp::create(e.builder, e.loc, element, panel,
                              e.add(panelAt(step), n));
    });
  });
}

/// The same for numbers that are multiplied several at a time. After the last
/// step of the reduction there are zeros.
void Gemm::packSteps(Value panelIndex, Value from, Value to) {
  OpBuilder &b = e.builder;
  Value column0 = e.mul(panelIndex, width),
        lastColumn = e.sub(sizes[column()], e.index(1)),
        wholeTo = e.sub(to, e.remainder(e.sub(to, from), e.index(depth)));
  auto panelAt = [&](Value step) { return e.mul(e.sub(step, from), width); };
  int64_t bits = 32 / depth;
  VectorType steps = elements.laneType(),
             narrow = VectorType::get(lanes, b.getIntegerType(bits));
  auto store = [&](Value vector, Value position) {
    vector = vector::BitCastOp::create(b, e.loc, elements.memoryType(), vector);
    vector::StoreOp::create(b, e.loc, vector, panel, position);
  };
  if (product.bContiguousIn(column())) {
    auto copy = [&](Value step, Value count) {
      for (int64_t vector : llvm::seq(vectors)) {
        Value first = e.add(column0, vector * lanes),
              mask = wholePanels() ? Value() : columnMask(column0, vector);
        Value all;
        for (int64_t d : llvm::seq(depth)) {
          Value exists = count ? e.less(e.index(d), count) : Value();
          if (exists && known(exists) == 0)
            break;
          Value place =
              exists ? e.min(e.index(d), e.sub(count, e.index(1))) : e.index(d);
          Value read = readColumns(e, this->b.flat,
                                   positionInB(first, e.add(step, place)),
                                   e.index(1), {lanes, mask});
          if (read.getType() != narrow)
            read = arith::BitcastOp::create(b, e.loc, narrow, read);
          read = arith::ExtUIOp::create(b, e.loc, steps, read);
          if (exists && !known(exists))
            read =
                arith::SelectOp::create(b, e.loc, exists, read, e.zero(steps));
          if (d > 0) {
            auto shift = arith::ConstantOp::create(
                b, e.loc,
                DenseElementsAttr::get(steps, b.getI32IntegerAttr(d * bits)));
            read = arith::ShLIOp::create(b, e.loc, read, shift);
            read = arith::OrIOp::create(b, e.loc, all, read);
          }
          all = read;
        }
        store(all, e.add(panelAt(step), vector * lanes * depth));
      }
    };
    e.loop(from, wholeTo, depth, [&](Value step) { copy(step, {}); });
    if (hasPartialStep())
      e.loop(wholeTo, to, depth,
             [&](Value step) { copy(step, e.sub(to, wholeTo)); });
    return;
  }
  Value squaresTo = from;
  if (product.bContiguousIn(reduction())) {
    squaresTo = e.sub(to, e.remainder(e.sub(to, from), e.index(lanes * depth)));
    e.loop(from, squaresTo, lanes * depth, [&](Value step) {
      for (int64_t vector : llvm::seq(vectors)) {
        SmallVector<Value> square;
        for (int64_t lane : llvm::seq(lanes))
          square.push_back(elements.columns(
              e, this->b.flat,
              positionInB(
                  e.min(e.add(column0, vector * lanes + lane), lastColumn),
                  step),
              /*mask=*/{}));
        transposeSquare(e, square);
        for (int64_t lane : llvm::seq(lanes))
          store(square[lane], e.add(panelAt(e.add(step, lane * depth)),
                                    vector * lanes * depth));
      }
    });
  }
  auto copy = [&](Value step, Value count) {
    e.loop(e.index(0), e.index(width), 1, [&](Value n) {
      Value column = e.min(e.add(column0, n), lastColumn),
            place = e.add(panelAt(step), e.mul(n, depth));
      for (int64_t d : llvm::seq(depth)) {
        Value exists = count ? e.less(e.index(d), count) : Value();
        Value element = e.zero(elements.element);
        if (!exists || known(exists) != 0) {
          Value there =
              exists ? e.min(e.index(d), e.sub(count, e.index(1))) : e.index(d);
          Value read = memref::LoadOp::create(
              b, e.loc, this->b.flat, positionInB(column, e.add(step, there)));
          element =
              exists && !known(exists)
                  ? arith::SelectOp::create(b, e.loc, exists, read, element)
                  : read;
        }
        memref::StoreOp::create(b, e.loc, element, panel, e.add(place, d));
      }
    });
  };
  e.loop(squaresTo, wholeTo, depth, [&](Value step) { copy(step, {}); });
  if (hasPartialStep())
    e.loop(wholeTo, to, depth,
           [&](Value step) { copy(step, e.sub(to, wholeTo)); });
}
