// Merge sort from the bottom up: runs of sorted elements, each twice as long as
// in the pass before. It is stable, needs as much memory again, and what it
// reads and writes never depends on the order being consistent.
#include "frontends/onnx/Sort.h"

using namespace mlir;
using namespace fulgur::onnx;

Value fulgur::onnx::store(const Core &c, Body &body, const Scalar &element,
                          DType type, Value tensor, ArrayRef<Scalar> at) {
  SmallVector<Value> indices;
  for (const Scalar &index : at)
    indices.push_back(convert(index, DType::index).emit());
  return tensor::InsertOp::create(
      *body.builder, c.loc, convert(element, type).emit(), tensor, indices);
}

SmallVector<Value> fulgur::onnx::repeat(const Core &c, Body &body, Value from,
                                        Value to, ArrayRef<Value> state,
                                        Step step) {
  Value one = c.index(1);
  auto loop = scf::ForOp::create(
      *body.builder, c.loc, from, to, one, state,
      [&](OpBuilder &inside, Location loc, Value at, ValueRange carried) {
        Body inner = c.body(&inside);
        Scalar index{&inner, DType::index, at, std::nullopt};
        scf::YieldOp::create(inside, loc, step(inner, index, carried));
      });
  return SmallVector<Value>(loop.getResults());
}

Scalar fulgur::onnx::comesBefore(const Scalar &a, const Scalar &b) {
  if (!isReal(a.type))
    return a < b;
  return (a < b) | (equal(a, a) & differ(b, b));
}

Scalar fulgur::onnx::isSame(const Scalar &a, const Scalar &b) {
  if (!isReal(a.type))
    return equal(a, b);
  return equal(a, b) | (differ(a, a) & differ(b, b));
}

/// A value of the body again, inside a body within it.
static Scalar inside(Body &body, const Scalar &outer) {
  return {&body, outer.type, outer.emit(), std::nullopt};
}

Order fulgur::onnx::sortedOrder(const Core &c, const Extent &rows,
                                const Extent &count, Before before,
                                Takes takes) {
  // Runs are as long as an index can count after this many passes.
  constexpr int64_t kPasses = 62;
  Value zero = c.index(0), passes = c.index(kPasses), all = c.index(count);
  Value state[] = {c.empty({rows, count}, DType::i64),
                   c.empty({rows, count}, DType::i64),
                   c.empty({rows}, DType::i64)};
  SmallVector<Value> results = c.loop(
      {rows}, state,
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange carried) -> SmallVector<Value> {
        Scalar none = Scalar::constant(body, DType::i64, 0);
        Value start[] = {carried[0],
                         store(c, body, none, DType::i64, carried[2], at)};
        // Every element is written where the next one belongs; only one that is
        // taken moves that place on.
        SmallVector<Value> taken = repeat(
            c, body, zero, all, start,
            [&](Body &b, const Scalar &k, ValueRange v) -> SmallVector<Value> {
              Scalar row = inside(b, at[0]);
              Scalar next = c.extract(b, v[1], DType::i64, {row});
              Value numbers = store(c, b, k, DType::i64, v[0], {row, next});
              Scalar moved = takes
                                 ? next + convert(takes(b, row, k), DType::i64)
                                 : next + 1;
              return {numbers, store(c, b, moved, DType::i64, v[1], {row})};
            });
        Value length = takes
                           ? convert(c.extract(body, taken[1], DType::i64, at),
                                     DType::index)
                                 .emit()
                           : all;
        SmallVector<Value> sorted = repeat(
            c, body, zero, passes, {taken[0], carried[1]},
            [&](Body &pass, const Scalar &number, ValueRange v) {
              OpBuilder &builder = *pass.builder;
              auto index = [&](Value value) {
                return Scalar{&pass, DType::index, value, std::nullopt};
              };
              Value one = c.index(1);
              Scalar width = index(
                  arith::ShLIOp::create(builder, c.loc, one, number.emit()));
              Scalar size = index(length);
              // A run that is everything is what we want.
              Value end = select(width < size, size, size.like(0)).emit();
              Value row = at[0].emit();
              // In the second run of a pair, `left` and `right` are the next
              // elements of the two, up to `middle` and `stop`.
              Value start[] = {v[1], zero, zero, zero, zero};
              SmallVector<Value> merged = repeat(
                  c, pass, zero, end, start,
                  [&](Body &b, const Scalar &k,
                      ValueRange s) -> SmallVector<Value> {
                    auto scalar = [&](Value value) {
                      return Scalar{&b, DType::index, value, std::nullopt};
                    };
                    Scalar wide = scalar(width.emit()),
                           all = scalar(size.emit()), line = scalar(row);
                    Scalar stop = scalar(s[4]), isNext = equal(k, stop);
                    Scalar left = select(isNext, k, scalar(s[1])),
                           middle = select(isNext, minimum(k + wide, all),
                                           scalar(s[3])),
                           right = select(isNext, middle, scalar(s[2]));
                    stop = select(isNext, minimum(k + wide + wide, all), stop);
                    auto element = [&](const Scalar &at) {
                      return convert(c.extract(b, v[0], DType::i64,
                                               {line, minimum(at, all - 1)}),
                                     DType::index);
                    };
                    Scalar a = element(left), z = element(right);
                    Scalar takeLeft =
                        (left < middle) &
                        ((right >= stop) | ~before(b, line, z, a));
                    Value next = store(c, b, select(takeLeft, a, z), DType::i64,
                                       s[0], {line, k});
                    return {next, select(takeLeft, left + 1, left).emit(),
                            select(takeLeft, right, right + 1).emit(),
                            middle.emit(), stop.emit()};
                  });
              SmallVector<Value> copied = repeat(
                  c, pass, zero, end, v[0],
                  [&](Body &b, const Scalar &k,
                      ValueRange s) -> SmallVector<Value> {
                    Scalar line{&b, DType::index, row, std::nullopt};
                    Scalar from =
                        c.extract(b, merged[0], DType::i64, {line, k});
                    return {store(c, b, from, DType::i64, s[0], {line, k})};
                  });
              return SmallVector<Value>{copied[0], merged[0]};
            });
        return {sorted[0], sorted[1], taken[1]};
      });
  return {results[0], results[2]};
}
