// Pools over regions of interest: rectangles that are data, in which the number
// of elements to look at is data too.
#include "frontends/onnx/Fold.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
using Turn = llvm::function_ref<Scalar(Body &, const Scalar &index,
                                       const Scalar &total)>;

/// A loop inside the body of another one: folds `turn` over [from, to), which
/// are indices.
Scalar iterate(Body &body, const Scalar &from, const Scalar &to,
               const Scalar &start, Turn turn) {
  OpBuilder &builder = *body.builder;
  Value one = arith::ConstantIndexOp::create(builder, body.loc, 1);
  auto loop = scf::ForOp::create(
      builder, body.loc, from.emit(), to.emit(), one, start.emit(),
      [&](OpBuilder &inside, Location loc, Value index, ValueRange total) {
        Body inner{body.sizes, &inside, body.loc};
        Scalar next =
            turn(inner, Scalar{&inner, DType::index, index, std::nullopt},
                 Scalar{&inner, start.type, total.front(), std::nullopt});
        scf::YieldOp::create(inside, loc, next.emit());
      });
  return {&body, start.type, loop.getResult(0), std::nullopt};
}

/// A scalar of an outer body to be computed with in an inner one.
Scalar in(Body &body, Scalar x) {
  x.body = &body;
  return x;
}

void requireImages(const Core &c, const Tensor &x) {
  if (x.rank() != 4)
    c.fail("the input has rank " + Twine(x.rank()) + ", not 4");
  c.requireType(x, isReal(x.type), "floating point");
  for (int k : {2, 3})
    c.sizes.requireAtLeast(x.shape[k], 1, "an empty image has no regions",
                           c.loc);
}

/// The two elements around a sample on one axis and how far it is between them.
struct Between {
  Scalar low, high, rest, inside;
};

Between between(const Scalar &at, const Extent &size) {
  Scalar count = convert(Scalar::extent(*at.body, DType::index, size), at.type);
  // Up to one element outside, the border is sampled.
  Scalar inside = (at >= -1) & (at <= count);
  Scalar place = select(at > 0, at, at.like(0));
  Scalar low = boundedIndex(place, 0, size - 1);
  Scalar last = Scalar::extent(*at.body, DType::index, size - 1);
  Scalar atEnd = low >= last;
  return {low, minimum(low + 1.0, last),
          select(atEnd, place.like(0), place - convert(low, at.type)), inside};
}

/// Averages or maxima of samples in each cell of a grid over each region (Mask
/// R-CNN, arXiv:1703.06870).
Tensor importRoiAlign(const Core &c, const Site &s) {
  Tensor x = s[0], rois = s[1], batches = s[2];
  requireImages(c, x);
  c.requireType(batches, isInteger(batches.type), "integer");
  c.requireType(rois, isReal(rois.type), "floating point");
  if (rois.rank() != 2 || batches.rank() != 1)
    c.fail("regions have the shape " + c.text(rois.shape) +
           ", not [n, 4], or "
           "their images " +
           c.text(batches.shape) + ", not [n]");
  c.requireEqual(rois.shape[1], 4, "the corners of a region");
  c.requireEqual(rois.shape[0], batches.shape[0]);
  StringRef mode = s.text("mode", "avg"),
            coordinates =
                s.text("coordinate_transformation_mode",
                       s.opset() < 16 ? "output_half_pixel" : "half_pixel");
  if (!llvm::is_contained({"avg", "max"}, mode))
    c.fail("mode is '" + mode + "', not one of avg, max");
  if (!llvm::is_contained({"half_pixel", "output_half_pixel"}, coordinates))
    c.fail("coordinate_transformation_mode is '" + coordinates +
           "', not one of half_pixel, output_half_pixel");
  bool half = coordinates == "half_pixel", average = mode == "avg";
  int64_t cells[] = {s.integer("output_height", 1),
                     s.integer("output_width", 1)},
          samples = s.integer("sampling_ratio", 0);
  if (cells[0] < 1 || cells[1] < 1 || samples < 0)
    c.fail("a grid of " + Twine(cells[0]) + " by " + Twine(cells[1]) +
           " cells with " + Twine(samples) + " samples");
  double scale = s.real("spatial_scale", 1);
  c.checkIndices(batches, x.shape[0], "the images");
  Value image = c.value(x), regions = c.value(rois);
  DType type = weightType(x.type);
  return c.generate(
      {rois.shape[0], x.shape[1], cells[0], cells[1]}, x.type,
      {c.reshape(batches, {batches.shape[0], 1, 1, 1})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto corner = [&](int64_t k) {
          Scalar column = Scalar::constant(body, DType::index, double(k));
          return convert(c.extract(body, regions, rois.type, {at[0], column}),
                         type) *
                     scale -
                 (half ? 0.5 : 0);
        };
        // Vertical and horizontal; the corners are x1, y1, x2, y2.
        Scalar start[2], size[2], count[2];
        for (int k : {0, 1}) {
          start[k] = corner(1 - k);
          Scalar length = corner(3 - k) - start[k];
          if (!half) // no region is smaller than an element
            length = select(length > 1, length, length.like(1));
          size[k] = length / double(cells[k]);
          start[k] = start[k] + convert(at[2 + k], type) * size[k];
          count[k] = samples
                         ? Scalar::constant(body, DType::index, double(samples))
                         : boundedIndex(ceil(size[k]), 0, int64_t(1) << 30);
        }
        Scalar batch = wrapIndex(v[0], x.shape[0]);
        Scalar zero = start[0].like(0), from = at[0].like(0);
        Scalar first =
            average ? zero : Scalar{&body, type, Value(), lowest(type)};
        auto place = [&](Body &inner, int k, const Scalar &index) {
          return in(inner, start[k]) + (convert(index, type) + 0.5) * size[k] /
                                           convert(count[k], type);
        };
        Scalar total = iterate(
            body, from, count[0], first,
            [&](Body &outer, const Scalar &row, const Scalar &soFar) {
              Between v = between(place(outer, 0, row), x.shape[2]);
              return iterate(
                  outer, from, count[1], soFar,
                  [&](Body &inner, const Scalar &column, const Scalar &sum) {
                    Between h = between(place(inner, 1, column), x.shape[3]);
                    Scalar sample;
                    for (int corner = 0; corner < 4; ++corner) {
                      bool lower = corner & 2, right = corner & 1;
                      Scalar element = convert(
                          c.extract(inner, image, x.type,
                                    {batch, at[1], lower ? v.high : v.low,
                                     right ? h.high : h.low}),
                          type);
                      Scalar part = (right ? h.rest : 1.0 - h.rest) *
                                    (lower ? v.rest : 1.0 - v.rest) * element;
                      sample = !corner   ? part
                               : average ? sample + part
                                         : maximum(sample, part);
                    }
                    sample =
                        select(h.inside & v.inside, sample, sample.like(0));
                    return average ? sum + sample : maximum(sum, sample);
                  });
            });
        Scalar number = count[0] * count[1];
        if (average)
          return total / convert(maximum(number, number.like(1)), type);
        return select(number > 0, total, zero);
      });
}

/// Halves away from zero, as C's round.
Scalar roundAway(const Scalar &x) {
  return select(x < 0, ceil(x - 0.5), floor(x + 0.5));
}

/// The greatest element of each cell of a grid over each region, whose corners
/// are rounded to elements (Fast R-CNN, arXiv:1504.08083).
Tensor importMaxRoiPool(const Core &c, const Site &s) {
  Tensor x = s[0], rois = s[1];
  requireImages(c, x);
  c.requireType(rois, isReal(rois.type), "floating point");
  if (rois.rank() != 2)
    c.fail("regions have the shape " + c.text(rois.shape) + ", not [n, 5]");
  c.requireEqual(rois.shape[1], 5, "the image and the corners of a region");
  SmallVector<int64_t> cells = s.integers("pooled_shape");
  if (cells.size() != 2 || cells[0] < 1 || cells[1] < 1)
    c.fail("attribute 'pooled_shape' must be two positive numbers");
  double scale = s.real("spatial_scale", 1);
  DType type = weightType(rois.type);
  Tensor batches =
      c.cast(c.reshape(c.slice(rois, 1, 0, 1), {rois.shape[0]}), DType::i64);
  c.checkIndices(batches, x.shape[0], "the images");
  Value image = c.value(x), regions = c.value(rois);
  return c.generate(
      {rois.shape[0], x.shape[1], cells[0], cells[1]}, x.type,
      {c.reshape(batches, {rois.shape[0], 1, 1, 1})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto corner = [&](int64_t k) {
          Scalar column = Scalar::constant(body, DType::index, double(k));
          return roundAway(
              convert(c.extract(body, regions, rois.type, {at[0], column}),
                      type) *
              scale);
        };
        Scalar from[2], to[2];
        for (int k : {0, 1}) {
          Scalar start = corner(2 - k), end = corner(4 - k);
          Scalar length = end - start + 1.0;
          Scalar cell =
              select(length > 1, length, length.like(1)) / double(cells[k]);
          Scalar index = convert(at[2 + k], type);
          const Extent &size = x.shape[2 + k];
          from[k] = boundedIndex(start + floor(index * cell), 0, size);
          to[k] = boundedIndex(start + ceil((index + 1.0) * cell), 0, size);
        }
        Scalar batch = wrapIndex(v[0], x.shape[0]);
        DType compute = computeType(x.type);
        Scalar first{&body, compute, Value(), lowest(compute)};
        Scalar best = iterate(
            body, from[0], to[0], first,
            [&](Body &outer, const Scalar &row, const Scalar &soFar) {
              return iterate(
                  outer, from[1], to[1], soFar,
                  [&](Body &inner, const Scalar &column, const Scalar &best) {
                    return maximum(best,
                                   c.extract(inner, image, x.type,
                                             {batch, at[1], row, column}));
                  });
            });
        Scalar empty = (to[0] <= from[0]) | (to[1] <= from[1]);
        return select(empty, best.like(0), best);
      });
}
} // namespace

void fulgur::onnx::registerRegions(OpTable &ops) {
  ops["MaxRoiPool"] = {importMaxRoiPool, 2};
  ops["RoiAlign"] = {importRoiAlign, 3};
}
