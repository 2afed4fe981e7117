// Ops that fold dims into one number.
#include "frontends/onnx/Core.h"
#include "frontends/onnx/RuntimeAxes.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// A reduction with axes that are known: what is reduced, along which dims, and
/// what then becomes of the result.
struct Reduction {
  Tensor x;
  SmallVector<int64_t> axes;
  bool keep;
  std::optional<Shape> shape; ///< that the result gets in the end

  Tensor finish(const Core &c, const Tensor &result) const {
    return shape ? RuntimeAxes::reshape(c, result, *shape) : result;
  }
};

bool keepsDims(const Site &s) { return s.integer("keepdims", 1); }

/// Every dim is split in two, of which one has the size 1: what is left of it,
/// and what is folded. Then the axes are the second halves.
Reduction reductionByData(const Core &c, const Site &s, const Tensor &x,
                          ArrayRef<Extent> axes) {
  RuntimeAxes runtime(c, axes, x.rank());
  Shape kept = runtime.replaced(c, x.shape), apart(kept);
  for (auto [flag, size] : llvm::zip(runtime.flags, x.shape))
    apart.push_back(c.sizes.atoms.select(flag, size, 1));
  Value table = c.value(x);
  Reduction result;
  result.x = c.generate(apart, x.type, {},
                        [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                          SmallVector<Scalar> place;
                          for (int64_t k = 0; k < x.rank(); ++k)
                            place.push_back(at[k] + at[x.rank() + k]);
                          return c.extract(body, table, x.type, place);
                        });
  for (int64_t k = 0; k < x.rank(); ++k)
    result.axes.push_back(x.rank() + k);
  result.keep = false;
  result.shape = keepsDims(s) ? kept : runtime.without(c, x.shape);
  return result;
}

/// The axes are an input, an attribute before opset 18, all of them if there
/// are none.
Reduction reduction(const Core &c, const Site &s, const Tensor &x) {
  std::optional<Shape> given = s.numbers(1, "axes");
  Reduction result{x, {}, keepsDims(s), std::nullopt};
  if (given && !given->empty()) {
    std::optional<SmallVector<int64_t>> known = constants(*given);
    if (!known)
      return reductionByData(c, s, x, *given);
    result.axes = c.axes(*known, x.rank());
  } else if (!s.integer("noop_with_empty_axes", 0)) {
    for (int64_t k = 0; k < x.rank(); ++k)
      result.axes.push_back(k);
  }
  return result;
}

using Fold = Scalar (*)(const Scalar &, const Scalar &);
using Each = Scalar (*)(const Scalar &);

/// Folds `each` element with `fold`, and then takes `last` of the total.
template <Each each, Fold fold, Each last>
Tensor reduceFrom(const Core &c, const Site &s, const Tensor &x,
                  const Element &start) {
  Reduction r = reduction(c, s, x);
  if (r.axes.empty())
    return c.map(r.x, [](const Scalar &v) { return last(each(v)); });
  Tensor total = c.reduce(
      r.x, r.axes, r.keep, r.x.type, start,
      [](const Scalar &v, const Scalar &acc) { return fold(acc, each(v)); });
  return r.finish(c, c.map(total, [](const Scalar &v) { return last(v); }));
}

template <Each each, Fold fold, Each last>
Tensor reduceFrom(const Core &c, const Site &s, const Element &start) {
  return reduceFrom<each, fold, last>(c, s, s[0], start);
}

/// Roots and logarithms of integers are computed in floating point; what then
/// becomes an integer again is cut off.
Tensor real(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type != DType::boolean, "a number");
  return isReal(s[0].type) ? s[0] : c.cast(s[0], DType::f64);
}

Scalar same(const Scalar &x) { return x; }
Scalar square(const Scalar &x) { return x * x; }
Scalar plus(const Scalar &a, const Scalar &b) { return a + b; }
Scalar times(const Scalar &a, const Scalar &b) { return a * b; }

template <Each each> Tensor importSum(const Core &c, const Site &s) {
  return reduceFrom<each, plus, same>(c, s, {});
}
Tensor importL2(const Core &c, const Site &s) {
  return c.cast(reduceFrom<square, plus, sqrt>(c, s, real(c, s), {}),
                s[0].type);
}
Tensor importLogSum(const Core &c, const Site &s) {
  return c.cast(reduceFrom<same, plus, log>(c, s, real(c, s), {}), s[0].type);
}
Tensor importProd(const Core &c, const Site &s) {
  return reduceFrom<same, times, same>(c, s, {1, 1.0});
}
Tensor importMax(const Core &c, const Site &s) {
  if (s[0].type == DType::boolean)
    return reduceFrom<same, operator|, same>(c, s, {});
  return reduceFrom<same, maximum, same>(c, s, lowest(s[0].type));
}
Tensor importMin(const Core &c, const Site &s) {
  if (s[0].type == DType::boolean)
    return reduceFrom<same, operator&, same>(c, s, {1, 1.0});
  return reduceFrom<same, minimum, same>(c, s, highest(s[0].type));
}

Tensor importMean(const Core &c, const Site &s) {
  Reduction r = reduction(c, s, s[0]);
  return r.axes.empty() ? r.x : r.finish(c, c.mean(r.x, r.axes, r.keep));
}

/// log Σ exp(x) as max + log Σ exp(x - max), which does not overflow; of
/// infinite maxima only the sum counts.
Tensor importLogSumExp(const Core &c, const Site &s) {
  Reduction r = reduction(c, s, real(c, s));
  if (r.axes.empty())
    return s[0];
  Tensor top = c.map(c.max(r.x, r.axes, true), [](const Scalar &x) {
    return select(abs(x) < std::numeric_limits<double>::infinity(), x,
                  x.like(0));
  });
  Tensor total =
      c.sum(c.map({r.x, top}, r.x.type,
                  [](ArrayRef<Scalar> v) { return exp(v[0] - v[1]); }),
            r.axes, true);
  Tensor result = c.map({total, top}, r.x.type,
                        [](ArrayRef<Scalar> v) { return log(v[0]) + v[1]; });
  return c.cast(r.finish(c, r.keep ? result : c.squeeze(result, r.axes)),
                s[0].type);
}

/// The position of the greatest (least) element: the first one, or the last on
/// demand.
template <bool greatest> Tensor importArg(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t axis = c.axis(s.integer("axis", 0), x.rank());
  bool last = s.integer("select_last_index", 0);
  c.requireType(x, x.type != DType::boolean, "a number");
  Shape kept, all(x.shape);
  all[axis] = 1;
  SmallVector<AffineExpr> at;
  SmallVector<utils::IteratorType> loops;
  for (int64_t k = 0; k < x.rank(); ++k) {
    loops.push_back(k == axis ? utils::IteratorType::reduction
                              : utils::IteratorType::parallel);
    if (k == axis)
      continue;
    kept.push_back(x.shape[k]);
    at.push_back(c.builder.getAffineDimExpr(k));
  }
  Body here = c.body(&c.builder);
  Scalar first{&here, x.type, Value(),
               greatest ? lowest(x.type) : highest(x.type)};
  Value starts[] = {
      linalg::FillOp::create(c.builder, c.loc, first.emit(),
                             c.empty(kept, x.type))
          .getResult(0),
      linalg::FillOp::create(c.builder, c.loc,
                             Scalar::constant(here, DType::i64, 0).emit(),
                             c.empty(kept, DType::i64))
          .getResult(0)};
  AffineMap out = AffineMap::get(x.rank(), 0, at, c.builder.getContext());
  AffineMap maps[] = {c.builder.getMultiDimIdentityMap(x.rank()), out, out};
  auto generic = linalg::GenericOp::create(
      c.builder, c.loc, ValueRange(starts).getTypes(), c.value(x), starts, maps,
      loops, [&](OpBuilder &inside, Location loc, ValueRange v) {
        Body body = c.body(&inside);
        Scalar value{&body, x.type, v[0], std::nullopt},
            best{&body, x.type, v[1], std::nullopt},
            place{&body, DType::i64, v[2], std::nullopt};
        Scalar index = convert(
            Scalar{&body, DType::index,
                   linalg::IndexOp::create(inside, loc, axis), std::nullopt},
            DType::i64);
        Scalar better = greatest ? (last ? value >= best : value > best)
                                 : (last ? value <= best : value < best);
        linalg::YieldOp::create(
            inside, loc,
            ValueRange{select(better, value, best).emit(),
                       select(better, index, place).emit()});
      });
  Tensor result = c.tensor(generic.getResult(1), DType::i64, kept);
  return keepsDims(s) ? c.reshape(result, all) : result;
}
} // namespace

void fulgur::onnx::registerReduction(OpTable &ops) {
  ops["ArgMax"] = importArg<true>;
  ops["ArgMin"] = importArg<false>;
  ops["ReduceL1"] = importSum<abs>;
  ops["ReduceL2"] = importL2;
  ops["ReduceLogSum"] = importLogSum;
  ops["ReduceLogSumExp"] = importLogSumExp;
  ops["ReduceMax"] = importMax;
  ops["ReduceMean"] = importMean;
  ops["ReduceMin"] = importMin;
  ops["ReduceProd"] = importProd;
  ops["ReduceSum"] = importSum<same>;
  ops["ReduceSumSquare"] = importSum<square>;
}
