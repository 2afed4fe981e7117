// Ops whose elements depend on those before them: they run in sequence along an
// axis.
#include "frontends/onnx/RuntimeAxes.h"
#include "frontends/onnx/Sort.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Many best elements: each row is sorted, and the front of it is taken.
SmallVector<Tensor> sortBest(const Core &c, const Tensor &x, int64_t axis,
                             const Extent &k, bool largest) {
  SmallVector<int64_t> toBack, back(x.rank());
  for (int64_t d = 0; d < x.rank(); ++d)
    if (d != axis)
      toBack.push_back(d);
  toBack.push_back(axis);
  for (auto [to, from] : llvm::enumerate(toBack))
    back[from] = to;
  Tensor rows = c.transpose(x, toBack);
  Extent count = x.shape[axis],
         others =
             c.sizes.atoms.simplify(product(ArrayRef(rows.shape).drop_back()));
  Shape picked(rows.shape);
  picked.back() = k;
  Value table = c.value(c.reshape(rows, {others, count}));
  Order order = sortedOrder(
      c, others, count,
      [&](Body &body, const Scalar &row, const Scalar &a, const Scalar &b) {
        Scalar v = c.extract(body, table, x.type, {row, a}),
               w = c.extract(body, table, x.type, {row, b});
        return largest ? v > w : v < w;
      });
  Tensor places =
      c.slice(c.tensor(order.numbers, DType::i64, {others, count}), 1, 0, k);
  Tensor values =
      c.generate({others, k}, x.type, {places},
                 [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                   return c.extract(body, table, x.type, {at[0], v[0]});
                 });
  return {c.transpose(c.reshape(values, picked), back),
          c.transpose(c.reshape(places, picked), back)};
}

/// The k best elements, each found by a scan for the best of those behind its
/// predecessor in the order (value, then index).
SmallVector<Tensor> importTopK(const Core &c, const Site &s) {
  Tensor x = s[0];
  c.requireType(x, x.type != DType::boolean, "a number");
  int64_t axis = c.axis(s.integer("axis", -1), x.rank());
  bool largest = s.integer("largest", 1);
  Shape k = s[1] ? s.sizes(1) : Shape{s.integer("k", 1)}, shape(x.shape);
  if (k.size() != 1)
    c.fail("K must be one number");
  c.sizes.requireAtLeast(x.shape[axis], k[0],
                         "at least '" + c.sizes.atoms.text(k[0]) +
                             "' elements are needed to pick that many",
                         c.loc);
  shape[axis] = k[0];
  // A scan for each of them is quicker for a few only.
  constexpr int64_t kScans = 32;
  if (c.sizes.atoms.upper(k[0]) > kScans)
    return sortBest(c, x, axis, k[0], largest);
  // The picks are the innermost loop, so that a row is finished before the next
  // one begins.
  Shape counts;
  for (int64_t d = 0; d < x.rank(); ++d)
    if (d != axis)
      counts.push_back(shape[d]);
  counts.push_back(k[0]);
  Value table = c.value(x), zero = c.index(0), one = c.index(1),
        length = c.index(x.shape[axis]);
  Value state[] = {c.empty(shape, x.type), c.empty(shape, DType::i64)};
  SmallVector<Value> results = c.loop(
      counts, state,
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange carried) -> SmallVector<Value> {
        OpBuilder &b = *body.builder;
        Scalar pick = at.back();
        SmallVector<Scalar> place(at.drop_back());
        place.insert(place.begin() + axis, pick);
        SmallVector<Scalar> before(place), element(place);
        before[axis] = maximum(pick - 1, pick.like(0));
        Scalar isFirst = equal(pick, pick.like(0)),
               lastValue = c.extract(body, carried[0], x.type, before);
        Scalar lastIndex = convert(
            c.extract(body, carried[1], DType::i64, before), DType::index);
        element[axis] = pick.like(0);
        Value start[] = {c.extract(body, table, x.type, element).emit(),
                         pick.like(-1).emit()};
        auto scan = scf::ForOp::create(
            b, c.loc, zero, length, one, start,
            [&](OpBuilder &inside, Location loc, Value i, ValueRange best) {
              Body inner = c.body(&inside);
              auto scalar = [&](Value value, DType type) {
                return Scalar{&inner, type, value, std::nullopt};
              };
              Scalar index = scalar(i, DType::index),
                     bestIndex = scalar(best[1], DType::index);
              DType type = lastValue.type;
              Scalar previous = scalar(lastValue.emit(), type),
                     bestValue = scalar(best[0], type),
                     position = scalar(lastIndex.emit(), DType::index);
              element[axis] = index;
              Scalar value = c.extract(inner, table, x.type, element);
              Scalar behind = (largest ? value < previous : value > previous) |
                              (equal(value, previous) & (index > position));
              Scalar better = (bestIndex < 0) |
                              (largest ? value > bestValue : value < bestValue);
              Scalar take =
                  (scalar(isFirst.emit(), DType::boolean) | behind) & better;
              scf::YieldOp::create(
                  inside, loc,
                  ValueRange{select(take, value, bestValue).emit(),
                             select(take, index, bestIndex).emit()});
            });
        Scalar value{&body, lastValue.type, scan.getResult(0), std::nullopt},
            index{&body, DType::index, scan.getResult(1), std::nullopt};
        return {store(c, body, value, x.type, carried[0], place),
                store(c, body,
                      convert(maximum(index, index.like(0)), DType::i64),
                      DType::i64, carried[1], place)};
      });
  return {c.tensor(results[0], x.type, shape),
          c.tensor(results[1], DType::i64, shape)};
}

/// Running totals along an axis, of the elements so far or of those before,
/// from either end.
template <Scalar (*fold)(const Scalar &, const Scalar &)>
Tensor accumulate(const Core &c, const Site &s, double neutral) {
  Tensor x = s[0];
  Shape given = s.extents(1);
  if (given.size() != 1)
    c.fail("the axis must be one number, not " + Twine(given.size()));
  int64_t axis = 1;
  if (std::optional<int64_t> known = given[0].constant())
    axis = c.axis(*known, x.rank());
  else // the axis between what is before and behind it
    x = RuntimeAxes::reshape(
        c, x,
        aroundAxis(c, x.shape, RuntimeAxes(c, given, x.rank()).axes.front()));
  bool exclusive = s.integer("exclusive", 0), reverse = s.integer("reverse", 0);
  Value table = c.value(x);
  SmallVector<Value> result = c.loop(
      x.shape, {c.empty(x.shape, x.type)},
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange carried) -> SmallVector<Value> {
        Scalar step = at[axis],
               last = Scalar::extent(body, DType::index, x.shape[axis] - 1);
        SmallVector<Scalar> place(at), before(at);
        before[axis] = maximum(step - 1, step.like(0));
        if (reverse) {
          place[axis] = last - step;
          before[axis] = last - before[axis];
        }
        Scalar total = c.extract(body, carried[0], x.type, before);
        if (exclusive)
          total = fold(total, c.extract(body, table, x.type, before));
        total = select(equal(step, step.like(0)), total.like(neutral), total);
        if (!exclusive)
          total = fold(total, c.extract(body, table, x.type, place));
        return {store(c, body, total, x.type, carried[0], place)};
      });
  return c.reshape(c.tensor(result[0], x.type, x.shape), s[0].shape);
}

Scalar plus(const Scalar &a, const Scalar &b) { return a + b; }
Scalar times(const Scalar &a, const Scalar &b) { return a * b; }
Tensor importCumSum(const Core &c, const Site &s) {
  return accumulate<plus>(c, s, 0);
}
Tensor importCumProd(const Core &c, const Site &s) {
  return accumulate<times>(c, s, 1);
}
} // namespace

void fulgur::onnx::registerSorting(OpTable &ops) {
  ops["CumProd"] = {importCumProd, 2};
  ops["CumSum"] = {importCumSum, 2};
  ops["TopK"] = importTopK;
}
