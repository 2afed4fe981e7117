// Ops whose results are as long as the data say: what is picked is counted
// while running, and what it is picked from bounds it.
#include "frontends/onnx/Sort.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// What was picked of `of` elements, in order.
struct Picks {
  Value positions; ///< i64; as long as what was picked from
  Extent count;
};

/// The count that stands in a tensor of one i64, as a size.
Extent runtimeCount(const Core &c, const Site &s, Value counter,
                    const Extent &bound) {
  Body here = c.body(&c.builder);
  Scalar count = c.extract(here, counter, DType::i64,
                           {Scalar::constant(here, DType::index, 0)});
  return c.sizes.runtime(
      s.result().str() + ".count", convert(count, DType::index).emit(), bound,
      "'" + s.result() + "' has more elements than what it is picked from",
      c.loc);
}

Scalar first(Body &body) { return Scalar::constant(body, DType::index, 0); }

/// The positions below `size` at which `isPicked` holds. Every position is
/// written where the next pick belongs; only a pick moves that place on.
Picks pick(const Core &c, const Site &s, const Extent &size,
           llvm::function_ref<Scalar(Body &, const Scalar &)> isPicked) {
  Value state[] = {c.empty({size}, DType::i64),
                   c.value(c.fill({1}, DType::i64, 0))};
  SmallVector<Value> results = c.loop(
      {size}, state,
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange carried) -> SmallVector<Value> {
        Scalar next = c.extract(body, carried[1], DType::i64, {first(body)});
        Value positions = store(c, body, at[0], DType::i64, carried[0], {next});
        Scalar moved = next + convert(isPicked(body, at[0]), DType::i64);
        return {positions,
                store(c, body, moved, DType::i64, carried[1], {first(body)})};
      });
  return {results[0], runtimeCount(c, s, results[1], size)};
}

/// The tensor with what was picked along the axis.
Tensor take(const Core &c, const Tensor &x, int64_t axis, const Picks &picks) {
  Shape shape(x.shape);
  shape[axis] = picks.count;
  Value table = c.value(x);
  Tensor positions =
      c.slice(c.tensor(picks.positions, DType::i64, {x.shape[axis]}), 0, 0,
              picks.count);
  SmallVector<int64_t> behind;
  for (int64_t k = axis + 1; k < x.rank(); ++k)
    behind.push_back(k - axis);
  return c.generate(shape, x.type, {c.unsqueeze(positions, behind)},
                    [&](Body &body, ArrayRef<Scalar> in, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at);
                      from[axis] = in[0];
                      return c.extract(body, table, x.type, from);
                    });
}

bool isTrue(const Element &element, DType type) {
  return isReal(type) ? element.real != 0 : !element.integer.is(0);
}

/// The coordinates of the elements that are not zero, one column each.
Tensor importNonZero(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t rank = x.rank();
  if (x.known() && constantCount(x.shape) &&
      (isReal(x.type) || llvm::all_of(*x.known(), [](const Element &e) {
         return e.integer.constant().has_value();
       }))) {
    SmallVector<SmallVector<int64_t>> found;
    size_t next = 0;
    forEachIndex(x.shape, [&](ArrayRef<int64_t> at) {
      if (isTrue((*x.known())[next++], x.type))
        found.emplace_back(at);
    });
    if (int64_t(found.size()) * rank <= knownLimit(DType::i64)) {
      Elements elements;
      for (int64_t k = 0; k < rank; ++k)
        for (ArrayRef<int64_t> at : found)
          elements.push_back({at[k]});
      return Tensor(std::move(elements), DType::i64,
                    {rank, int64_t(found.size())});
    }
  }
  Extent size = c.sizes.atoms.simplify(product(x.shape));
  Value flat = c.value(c.reshape(x, {size}));
  Picks picks = pick(c, s, size, [&](Body &body, const Scalar &k) {
    Scalar element = c.extract(body, flat, x.type, {k});
    return differ(element, element.like(0));
  });
  if (rank == 0) // one column or none, and no coordinate
    return c.tensor(c.empty({0, picks.count}, DType::i64), DType::i64,
                    {0, picks.count});
  // The row of a result says which coordinate of the position is wanted.
  Shape strides(rank, 1);
  for (int64_t k = rank - 1; k > 0; --k)
    strides[k - 1] = strides[k] * x.shape[k];
  Value table = picks.positions;
  Tensor column = c.reshape(c.vector(strides), {rank, 1}),
         dims = c.reshape(c.vector(x.shape), {rank, 1});
  return c.generate(
      {rank, picks.count}, DType::i64, {column, dims},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar position = c.extract(body, table, DType::i64, {at[1]});
        return rank == 1 ? position : remainder(position / v[0], v[1]);
      });
}

/// The slices along an axis, or the elements of the flattened tensor, at which
/// the condition holds.
Tensor importCompress(const Core &c, const Site &s) {
  Tensor x = s[0], condition = s[1];
  c.requireType(condition, condition.type == DType::boolean, "bool");
  if (condition.rank() != 1)
    c.fail("the condition has rank " + Twine(condition.rank()) + ", not 1");
  int64_t axis = 0;
  if (s.has("axis"))
    axis = c.axis(s.integer("axis", 0), x.rank());
  else
    x = c.reshape(x, {c.sizes.atoms.simplify(product(x.shape))});
  // The condition may be shorter than the axis.
  Extent size = c.sizes.atoms.min(condition.shape[0], x.shape[axis]);
  Value table = c.value(condition);
  Picks picks = pick(c, s, size, [&](Body &body, const Scalar &k) {
    return c.extract(body, table, DType::boolean, {k});
  });
  Shape all(x.shape);
  all[axis] = size;
  return take(c, c.slice(x, axis, 0, size), axis, picks);
}

//===-- Unique ------------------------------------------------------------===//

/// Whether two slices of `x` along an axis are in order or the same, read like
/// a word.
struct Comparison {
  Scalar before, same;
};

Comparison compareSlices(const Core &c, Body &body, const Tensor &x,
                         Value table, int64_t axis, const Scalar &a,
                         const Scalar &b) {
  SmallVector<Value> counts;
  Shape others;
  for (int64_t k = 0; k < x.rank(); ++k)
    if (k != axis)
      others.push_back(x.shape[k]);
  if (others.empty()) {
    Scalar v = c.extract(body, table, x.type, {a}),
           w = c.extract(body, table, x.type, {b});
    return {comesBefore(v, w), isSame(v, w)};
  }
  Core inner{*body.builder, c.sizes, c.loc, c.program};
  Value start[] = {Scalar::constant(body, DType::boolean, 0).emit(),
                   Scalar::constant(body, DType::boolean, 1).emit()};
  Value first = a.emit(), second = b.emit();
  SmallVector<Value> results = inner.loop(
      others, start, [&](Body &b, ArrayRef<Scalar> at, ValueRange state) {
        auto element = [&](Value number) {
          SmallVector<Scalar> from(at);
          from.insert(from.begin() + axis,
                      Scalar{&b, DType::index, number, std::nullopt});
          return c.extract(b, table, x.type, from);
        };
        Scalar v = element(first), w = element(second),
               before{&b, DType::boolean, state[0], std::nullopt},
               same{&b, DType::boolean, state[1], std::nullopt};
        return SmallVector<Value>{(before | (same & comesBefore(v, w))).emit(),
                                  (same & isSame(v, w)).emit()};
      });
  return {{&body, DType::boolean, results[0], std::nullopt},
          {&body, DType::boolean, results[1], std::nullopt}};
}

/// The different elements, or slices along an axis: in order, or as they come;
/// where each is first, which of them each element is, and how often.
SmallVector<Tensor> importUnique(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t axis = 0;
  if (s.has("axis"))
    axis = c.axis(s.integer("axis", 0), x.rank());
  else
    x = c.reshape(x, {c.sizes.atoms.simplify(product(x.shape))});
  Extent size = x.shape[axis];
  Value table = c.value(x);
  Value order =
      sortedOrder(
          c, 1, size,
          [&](Body &body, const Scalar &, const Scalar &a, const Scalar &b) {
            return compareSlices(c, body, x, table, axis, a, b).before;
          })
          .numbers;
  auto none = [&] { return c.value(c.fill({1}, DType::i64, 0)); };
  auto list = [&] { return c.empty({size}, DType::i64); };

  // Equal elements stand together now, the one that came first in front.
  Value state[] = {list(), list(), list(), none()};
  SmallVector<Value> groups = c.loop(
      {size}, state,
      [&](Body &body, ArrayRef<Scalar> at, ValueRange v) -> SmallVector<Value> {
        auto element = [&](const Scalar &k) {
          return convert(c.extract(body, order, DType::i64, {first(body), k}),
                         DType::index);
        };
        Scalar begin = equal(at[0], at[0].like(0));
        Scalar here = element(at[0]),
               last = element(maximum(at[0] - 1, at[0].like(0)));
        Scalar isNew =
            begin | ~compareSlices(c, body, x, table, axis, last, here).same;
        Scalar made = c.extract(body, v[3], DType::i64, {first(body)}) +
                      convert(isNew, DType::i64);
        Scalar group = made - 1;
        Scalar start = c.extract(body, v[0], DType::i64, {group}),
               seen = c.extract(body, v[2], DType::i64, {group});
        return {store(c, body, select(isNew, convert(here, DType::i64), start),
                      DType::i64, v[0], {group}),
                store(c, body, group, DType::i64, v[1], {here}),
                store(c, body, select(isNew, seen.like(1), seen + 1),
                      DType::i64, v[2], {group}),
                store(c, body, made, DType::i64, v[3], {first(body)})};
      });
  Value firsts = groups[0], inverse = groups[1], seen = groups[2];
  Extent count = runtimeCount(c, s, groups[3], size);
  auto vector = [&](Value value) {
    return c.tensor(value, DType::i64, {size});
  };
  Tensor which = vector(inverse);
  if (!s.integer("sorted", 1)) {
    // The groups in the order of their first elements.
    Value state[] = {list(), list(), none()};
    SmallVector<Value> ranks =
        c.loop({size}, state,
               [&](Body &body, ArrayRef<Scalar> at,
                   ValueRange v) -> SmallVector<Value> {
                 Scalar group = c.extract(body, inverse, DType::i64, {at[0]});
                 Scalar here = convert(at[0], DType::i64);
                 Scalar isFirst =
                     equal(c.extract(body, firsts, DType::i64, {group}), here);
                 Scalar next = c.extract(body, v[2], DType::i64, {first(body)});
                 Scalar rank = c.extract(body, v[0], DType::i64, {group});
                 return {store(c, body, select(isFirst, next, rank), DType::i64,
                               v[0], {group}),
                         store(c, body, group, DType::i64, v[1], {next}),
                         store(c, body, next + convert(isFirst, DType::i64),
                               DType::i64, v[2], {first(body)})};
               });
    auto through = [&](Value table, const Tensor &numbers) {
      return c.map({numbers}, DType::i64, [&](ArrayRef<Scalar> v) {
        return c.extract(*v[0].body, table, DType::i64, {v[0]});
      });
    };
    which = through(ranks[0], vector(inverse));
    Tensor byRank = c.slice(vector(ranks[1]), 0, 0, count);
    firsts = c.value(through(firsts, byRank));
    seen = c.value(through(seen, byRank));
    size = count;
  }
  Tensor starts = c.slice(vector(firsts), 0, 0, count),
         counts = c.slice(vector(seen), 0, 0, count);
  Shape shape(x.shape);
  shape[axis] = count;
  SmallVector<int64_t> behind;
  for (int64_t k = axis + 1; k < x.rank(); ++k)
    behind.push_back(k - axis);
  Tensor y =
      c.generate(shape, x.type, {c.unsqueeze(starts, behind)},
                 [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                   SmallVector<Scalar> from(at);
                   from[axis] = v[0];
                   return c.extract(body, table, x.type, from);
                 });
  return {y, starts, which, counts};
}

//===-- NonMaxSuppression -------------------------------------------------===//

/// The two corners of a box, the lower coordinates first.
struct Corners {
  Scalar low[2], high[2];
  Scalar area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

Corners cornersOf(const Core &c, Body &body, Value boxes, const Scalar &batch,
                  const Scalar &box, bool centers) {
  Scalar v[4];
  for (int k = 0; k < 4; ++k)
    v[k] = c.extract(body, boxes, DType::f32,
                     {batch, box, Scalar::constant(body, DType::index, k)});
  Corners corners;
  for (int k = 0; k < 2; ++k) {
    Scalar one = centers ? v[k] - v[k + 2] / 2 : v[k],
           other = centers ? v[k] + v[k + 2] / 2 : v[k + 2];
    corners.low[k] = minimum(one, other);
    corners.high[k] = maximum(one, other);
  }
  return corners;
}

/// Whether the boxes share more than `threshold` of what they cover together.
Scalar overlap(const Corners &a, const Corners &b, const Scalar &threshold) {
  Scalar width = minimum(a.high[0], b.high[0]) - maximum(a.low[0], b.low[0]),
         height = minimum(a.high[1], b.high[1]) - maximum(a.low[1], b.low[1]);
  Scalar common = width * height, all = a.area() + b.area() - common;
  return (width > 0) & (height > 0) & (all > 0) & (common / all > threshold);
}

/// For every class of every batch, the boxes with the highest scores of which
/// no two overlap too much: rows of batch, class and box.
Tensor importNonMaxSuppression(const Core &c, const Site &s) {
  Tensor boxes = s[0], scores = s[1];
  c.requireType(boxes, boxes.type == DType::f32, "float");
  c.requireType(scores, scores.type == DType::f32, "float");
  if (boxes.rank() != 3 || scores.rank() != 3)
    c.fail("boxes and scores have the ranks " + Twine(boxes.rank()) + " and " +
           Twine(scores.rank()) + ", not 3");
  c.requireEqual(boxes.shape[0], scores.shape[0]);
  c.requireEqual(boxes.shape[1], scores.shape[2]);
  c.requireEqual(boxes.shape[2], 4);
  int64_t format = s.integer("center_point_box", 0);
  if (format != 0 && format != 1)
    c.fail("center_point_box is " + Twine(format) + ", not 0 or 1");
  Extent batches = boxes.shape[0], classes = scores.shape[1],
         count = boxes.shape[1], rows = batches * classes;

  // One number, as a value that the loops take.
  Body here = c.body(&c.builder);
  auto number = [&](size_t k, DType type, double otherwise) {
    Scalar result = Scalar::constant(here, type, otherwise);
    if (s[k]) {
      c.requireType(s[k], s[k].type == type, name(type));
      c.requireEqual(product(s[k].shape), 1);
      Tensor one = c.reshape(s[k], {});
      result = one.known() ? Scalar{&here, type, Value(), one.known()->front()}
                           : c.extract(here, c.value(one), type, {});
    }
    return result;
  };
  Scalar most = convert(number(2, DType::i64, 0), DType::index),
         maxOverlap = number(3, DType::f32, 0),
         minScore = number(4, DType::f32, 0);
  Extent limit = count;
  if (most.known)
    limit = c.sizes.atoms.min(c.sizes.atoms.max(most.known->integer, 0), count);
  Value atMost = minimum(maximum(most, most.like(0)),
                         Scalar::extent(here, DType::index, count))
                     .emit();
  Value overlapLimit = maxOverlap.emit(), scoreLimit = minScore.emit();
  Extent bound = c.sizes.atoms.simplify(rows * limit);

  Value boxTable = c.value(boxes), scoreTable = c.value(scores);
  auto score = [&](Body &body, const Scalar &row, const Scalar &box) {
    Scalar number = Scalar::extent(body, DType::index, classes);
    return c.extract(body, scoreTable, DType::f32,
                     {row / number, remainder(row, number), box});
  };
  Order order = sortedOrder(
      c, c.sizes.atoms.simplify(rows), count,
      [&](Body &body, const Scalar &row, const Scalar &a, const Scalar &b) {
        return score(body, row, a) > score(body, row, b);
      },
      [&](Body &body, const Scalar &row, const Scalar &box) {
        if (!s[4])
          return Scalar::constant(body, DType::boolean, 1);
        return score(body, row, box) >
               Scalar{&body, DType::f32, scoreLimit, std::nullopt};
      });
  Value zero = c.index(0);
  // One row more than can be picked: every candidate is written where the next
  // pick belongs.
  Value state[] = {c.empty({bound + 1, 3}, DType::i64),
                   c.value(c.fill({1}, DType::i64, 0))};
  SmallVector<Value> results = c.loop(
      {batches, classes}, state,
      [&](Body &body, ArrayRef<Scalar> at, ValueRange v) {
        Scalar start = convert(c.extract(body, v[1], DType::i64, {first(body)}),
                               DType::index);
        Scalar row =
            at[0] * Scalar::extent(body, DType::index, classes) + at[1];
        Value length = convert(c.extract(body, order.counts, DType::i64, {row}),
                               DType::index)
                           .emit();
        Value begin = start.emit(), line = row.emit(), batch = at[0].emit(),
              kind = at[1].emit();
        return repeat(
            c, body, zero, length, {v[0], v[1]},
            [&](Body &b, const Scalar &k, ValueRange v) -> SmallVector<Value> {
              auto scalar = [](Body &b, Value value, DType type) {
                return Scalar{&b, type, value, std::nullopt};
              };
              auto index = [&](Body &b, Value value) {
                return scalar(b, value, DType::index);
              };
              Scalar next = convert(c.extract(b, v[1], DType::i64, {first(b)}),
                                    DType::index);
              Scalar box = convert(
                  c.extract(b, order.numbers, DType::i64, {index(b, line), k}),
                  DType::index);
              Scalar wanted = next - index(b, begin) < index(b, atMost);
              Corners mine =
                  cornersOf(c, b, boxTable, index(b, batch), box, format == 1);
              Value corners[] = {mine.low[0].emit(), mine.low[1].emit(),
                                 mine.high[0].emit(), mine.high[1].emit()};
              Value last = select(wanted, next, index(b, begin)).emit();
              Value free = repeat(
                  c, b, begin, last, wanted.emit(),
                  [&](Body &i, const Scalar &at,
                      ValueRange state) -> SmallVector<Value> {
                    Scalar other =
                        c.extract(i, v[0], DType::i64,
                                  {at, Scalar::constant(i, DType::index, 2)});
                    Corners theirs =
                        cornersOf(c, i, boxTable, index(i, batch),
                                  convert(other, DType::index), format == 1);
                    auto real = [&](int k) {
                      return scalar(i, corners[k], DType::f32);
                    };
                    Corners ours{{real(0), real(1)}, {real(2), real(3)}};
                    Scalar clash = overlap(ours, theirs,
                                           scalar(i, overlapLimit, DType::f32));
                    return {
                        (scalar(i, state[0], DType::boolean) & ~clash).emit()};
                  })[0];
              Value rows = v[0];
              Scalar entry[] = {index(b, batch), index(b, kind), box};
              for (int column = 0; column < 3; ++column)
                rows = store(c, b, entry[column], DType::i64, rows,
                             {next, Scalar::constant(b, DType::index, column)});
              Scalar moved =
                  next + convert(scalar(b, free, DType::boolean), DType::index);
              return {rows, store(c, b, moved, DType::i64, v[1], {first(b)})};
            });
      });
  Extent found = runtimeCount(c, s, results[1], bound);
  return c.slice(c.tensor(results[0], DType::i64, {bound + 1, 3}), 0, 0, found);
}
} // namespace

void fulgur::onnx::registerSelection(OpTable &ops) {
  ops["Compress"] = {importCompress, 2};
  ops["NonMaxSuppression"] = {importNonMaxSuppression, 2};
  ops["NonZero"] = importNonZero;
  ops["Unique"] = importUnique;
}
