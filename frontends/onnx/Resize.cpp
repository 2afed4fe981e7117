// Resize and its forerunner Upsample. Interpolation is separable: one pass for
// each axis that changes its size, with tables of positions and weights, which
// are as small as the axis. The nearest element needs no pass of its own for
// each axis and is one gather.
#include "frontends/onnx/Fold.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
using Number = std::function<Scalar(Body &)>;

/// How one axis is resized.
struct ResizedAxis {
  int64_t axis;
  Extent in, out;
  Number scale;  ///< f32
  Number width;  ///< f32: the size of the result before it is made whole
  Number roi[2]; ///< f32: where the result begins and ends, 1 being the whole
  double known = 0; ///< the scale if it is a constant
};

/// What the attributes say.
struct Method {
  StringRef mode, coordinates, nearest;
  double cubic, outside;
  bool antialias, excludeOutside;
  bool crops() const { return coordinates == "tf_crop_and_resize"; }
};

void requireOneOf(const Core &c, StringRef attribute, StringRef text,
                  ArrayRef<StringRef> all) {
  if (!llvm::is_contained(all, text))
    c.fail("attribute '" + attribute + "' is '" + text + "', not one of " +
           llvm::join(all, ", "));
}

Method methodOf(const Core &c, const Site &s) {
  bool upsample = s.op() == "Upsample", old = upsample || s.opset() < 11;
  Method m{s.text("mode", "nearest"),
           s.text("coordinate_transformation_mode",
                  old ? "asymmetric" : "half_pixel"),
           s.text("nearest_mode", old ? "outward" : "round_prefer_floor"),
           s.real("cubic_coeff_a", -0.75),
           s.real("extrapolation_value", 0),
           bool(s.integer("antialias", 0)),
           bool(s.integer("exclude_outside", 0))};
  if (m.mode == "bilinear" || m.mode == "trilinear") // of Upsample-1
    m.mode = "linear";
  requireOneOf(c, "mode", m.mode, {"nearest", "linear", "cubic"});
  requireOneOf(c, "coordinate_transformation_mode", m.coordinates,
               {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                "align_corners", "asymmetric", "tf_half_pixel_for_nn",
                "tf_crop_and_resize"});
  requireOneOf(
      c, "nearest_mode", m.nearest,
      {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "outward"});
  if (m.mode == "nearest" && m.antialias)
    c.fail("attribute 'antialias' is for the modes linear and cubic, not for "
           "nearest");
  return m;
}

/// An element of a vector that is known or data, as a number in f32.
Number elementOf(const Core &c, const Tensor &vector, int64_t index) {
  if (vector.known())
    return [vector, index](Body &body) {
      return convert(
          Scalar{&body, vector.type, Value(), (*vector.known())[index]},
          DType::f32);
    };
  Value table = c.value(vector);
  return [&c, table, type = vector.type, index](Body &body) {
    return convert(
        c.extract(body, table, type,
                  {Scalar::constant(body, DType::index, double(index))}),
        DType::f32);
  };
}

Number constantly(double number) {
  return [number](Body &body) {
    return Scalar::constant(body, DType::f32, number);
  };
}

Scalar sizeOf(Body &body, const Extent &size) {
  return convert(Scalar::extent(body, DType::index, size), DType::f32);
}

/// floor(size · scale) in the arithmetic of f32, which the operator prescribes.
int64_t scaledSize(int64_t size, float scale) {
  return int64_t(std::floor(float(size) * scale));
}

/// The same for a size that is a symbol: a quotient of integers that gives the
/// same for every size up to a limit, which is required.
Extent scaledExtent(const Core &c, const Extent &size, float scale) {
  if (std::optional<int64_t> constant = size.constant())
    return scaledSize(*constant, scale);
  constexpr int64_t farthest = 1 << 20;
  int64_t above = 0, below = 1, reach = -1;
  // The continued fraction of the scale gives its best approximations.
  double rest = scale;
  int64_t p[] = {0, 1}, q[] = {1, 0};
  for (int step = 0; step < 24 && reach < farthest; ++step) {
    int64_t whole = int64_t(std::floor(rest));
    int64_t nextP = whole * p[1] + p[0], nextQ = whole * q[1] + q[0];
    if (nextQ > (int64_t(1) << 24) || nextP > (int64_t(1) << 30))
      break;
    p[0] = std::exchange(p[1], nextP);
    q[0] = std::exchange(q[1], nextQ);
    int64_t n = 0;
    while (n < farthest && scaledSize(n + 1, scale) == (n + 1) * nextP / nextQ)
      ++n;
    if (n > reach) {
      reach = n;
      above = nextP;
      below = nextQ;
    }
    if (rest == double(whole))
      break;
    rest = 1 / (rest - double(whole));
  }
  Atoms &atoms = c.sizes.atoms;
  c.sizes.requireAtLeast(reach, size,
                         "'" + atoms.text(size) + "' must be at most " +
                             Twine(reach) + " to be scaled",
                         c.loc);
  return atoms.floorDiv(size * above, below);
}

/// Sizes of the result under a policy that keeps the aspect ratio: the least or
/// the greatest of the sizes that the single axes ask for.
void keepAspectRatio(const Core &c, MutableArrayRef<ResizedAxis> axes,
                     bool larger) {
  Atoms &atoms = c.sizes.atoms;
  SmallVector<ResizedAxis> asked(axes);
  Number scale = [asked, larger](Body &body) {
    Scalar best = asked[0].scale(body);
    for (const ResizedAxis &one : ArrayRef(asked).drop_front()) {
      Scalar scale = one.scale(body);
      best = larger ? maximum(best, scale) : minimum(best, scale);
    }
    return best;
  };
  for (ResizedAxis &axis : axes) {
    // Rounding is monotone, so that it may be done before the choice.
    std::optional<Extent> best;
    for (const ResizedAxis &one : asked) {
      Extent size = atoms.floorDiv(one.out * axis.in * 2 + one.in, one.in * 2);
      best = !best    ? size
             : larger ? atoms.max(*best, size)
                      : atoms.min(*best, size);
    }
    axis.out = atoms.simplify(*best);
    axis.scale = scale;
    axis.width = [scale, in = axis.in](Body &body) {
      return scale(body) * sizeOf(body, in);
    };
    axis.known = 0;
  }
}

bool isThere(const Tensor &x) {
  return x && !(x.rank() == 1 && x.shape[0].is(0));
}

/// Whether the axis stays as it is.
bool isIdentity(const Core &c, const ResizedAxis &axis, const Tensor &x,
                bool crops) {
  return !crops && c.sizes.atoms.knownEqual(axis.in, axis.out) &&
         (axis.known == 0 || axis.known == 1);
}

/// The scales of the forms that have had them as attributes or as input 1.
Tensor scalesOf(const Core &c, const Site &s) {
  auto listed = [](ArrayRef<double> scales) {
    Elements elements;
    for (double scale : scales)
      elements.push_back({0, scale});
    return Tensor(std::move(elements), DType::f32, {int64_t(scales.size())});
  };
  if (s.has("scales"))
    return listed(s.reals("scales"));
  if (s.has("height_scale") || s.has("width_scale")) {
    if (s[0].rank() != 4)
      c.fail("height_scale and width_scale are for tensors of rank 4, not " +
             Twine(s[0].rank()));
    return listed({1, 1, s.real("height_scale", 1), s.real("width_scale", 1)});
  }
  bool second = s.op() == "Upsample" || s.opset() < 11;
  return s[second ? 1 : 2];
}

/// The sizes that scales make which are known only while running.
Shape sizesByData(const Core &c, const Tensor &x, const Tensor &scales,
                  ArrayRef<int64_t> axes, StringRef result) {
  c.requireType(scales, scales.type == DType::f32, "float");
  Shape in;
  for (int64_t axis : axes)
    in.push_back(x.shape[axis]);
  Tensor sizes =
      c.map({c.cast(c.vector(in), DType::f32), scales}, DType::i64,
            [](ArrayRef<Scalar> v) {
              // What is no size is -1, which is refused.
              Scalar scaled = floor(v[0] * v[1]);
              Scalar fits = (v[1] > 0) & (scaled < 0x1p31);
              return convert(select(fits, scaled, scaled.like(-1)), DType::i64);
            });
  Shape out = c.dataExtents(sizes, (result + ".sizes").str());
  for (auto [k, size] : llvm::enumerate(out))
    c.sizes.requireAtLeast(size, 0,
                           "scale " + Twine(k) +
                               " must be positive and of reasonable size",
                           c.loc);
  return out;
}

SmallVector<ResizedAxis> axesOf(const Core &c, const Site &s,
                                const Method &method) {
  Tensor x = s[0], scales = scalesOf(c, s);
  bool bySize = isThere(s[3]);
  if (isThere(scales) == bySize)
    c.fail("needs either scales or sizes");
  SmallVector<int64_t> axes = s.axesOrAll("axes", x.rank());
  int64_t count = axes.size();
  Tensor asked = bySize ? s[3] : scales;
  std::string what =
      ((bySize ? "sizes" : "scales") + Twine(" have the shape ") +
       c.text(asked.shape) + " for " + Twine(count) + " axes")
          .str();
  if (asked.rank() != 1 || c.sizes.atoms.knownDifferent(asked.shape[0], count))
    c.fail(what);
  c.requireEqual(asked.shape[0], count, what);
  Shape sizes = bySize ? s.extents(3) : Shape();
  bool scalesAreData = !bySize && !scales.known();
  if (scalesAreData)
    sizes = sizesByData(c, x, scales, axes, s.result());
  Tensor roi = s.opset() >= 11 && s.op() == "Resize" ? s[1] : Tensor();
  if (method.crops() &&
      (!isThere(roi) || roi.rank() != 1 || !roi.shape[0].is(2 * count)))
    c.fail("tf_crop_and_resize needs a roi of " + Twine(2 * count) +
           " numbers");

  SmallVector<ResizedAxis> result;
  for (int64_t k = 0; k < count; ++k) {
    ResizedAxis axis{axes[k], x.shape[axes[k]], {}, {}, {}, {}};
    if (bySize) {
      axis.out = sizes[k];
      axis.width = [out = axis.out](Body &body) { return sizeOf(body, out); };
      axis.scale = [in = axis.in, out = axis.out](Body &body) {
        return sizeOf(body, out) / sizeOf(body, in);
      };
      if (axis.in.constant() && axis.out.constant())
        axis.known = double(*axis.out.constant()) / *axis.in.constant();
    } else if (scalesAreData) {
      axis.out = sizes[k];
      axis.scale = elementOf(c, scales, k);
      axis.width = [scale = axis.scale, in = axis.in](Body &body) {
        return scale(body) * sizeOf(body, in);
      };
    } else {
      axis.known = (*scales.known())[k].real;
      if (!(axis.known > 0) || axis.known > 1e6)
        c.fail("scale " + std::to_string(axis.known) + " of axis " +
               Twine(axes[k]) + " is not a positive number of reasonable size");
      axis.out = scaledExtent(c, axis.in, float(axis.known));
      axis.scale = constantly(axis.known);
      axis.width = [scale = axis.scale, in = axis.in](Body &body) {
        return scale(body) * sizeOf(body, in);
      };
    }
    if (method.crops()) {
      axis.roi[0] = elementOf(c, roi, k);
      axis.roi[1] = elementOf(c, roi, count + k);
    }
    result.push_back(axis);
  }
  StringRef policy = s.text("keep_aspect_ratio_policy", "stretch");
  requireOneOf(c, "keep_aspect_ratio_policy", policy,
               {"stretch", "not_larger", "not_smaller"});
  if (policy != "stretch") {
    if (!bySize)
      c.fail("keep_aspect_ratio_policy is for sizes, not for scales");
    keepAspectRatio(c, result, policy == "not_smaller");
  }
  for (const ResizedAxis &axis : result)
    if (!isIdentity(c, axis, x, method.crops()))
      c.sizes.requireAtLeast(axis.in, 1, "an empty axis cannot be resized",
                             c.loc);
  return result;
}

/// Where in the input the element `at` of the result lies.
Scalar originalPosition(Body &body, const ResizedAxis &axis,
                        const Method &method, const Scalar &index) {
  Scalar at = convert(index, DType::f32);
  auto lastOf = [&] { return sizeOf(body, axis.in - 1); };
  if (method.coordinates == "asymmetric")
    return at / axis.scale(body);
  if (method.coordinates == "tf_half_pixel_for_nn")
    return (at + 0.5) / axis.scale(body);
  if (method.coordinates == "align_corners") {
    Scalar width = axis.width(body), one = width.like(1);
    Scalar single = equal(width, one);
    return select(single, at.like(0),
                  at * lastOf() / select(single, one, width - 1.0));
  }
  if (method.crops()) {
    Scalar width = axis.width(body), one = width.like(1);
    Scalar start = axis.roi[0](body), end = axis.roi[1](body);
    Scalar single = equal(width, one);
    return select(single, (start + end) * 0.5 * lastOf(),
                  start * lastOf() + at * ((end - start) * lastOf() /
                                           select(single, one, width - 1.0)));
  }
  // Whatever is added keeps the order of the definition: rounded otherwise, a
  // position that should be whole would have another floor.
  Scalar center = (at + 0.5) / axis.scale(body);
  if (method.coordinates == "half_pixel_symmetric") {
    Scalar adjustment = sizeOf(body, axis.out) / axis.width(body);
    center = sizeOf(body, axis.in) / 2.0 * (1.0 - adjustment) + center;
  }
  center = center - 0.5;
  if (method.coordinates == "pytorch_half_pixel")
    return select(Scalar::extent(body, DType::index, axis.out) > 1, center,
                  center.like(0));
  return center;
}

/// The nearest element to a position. "outward" is what Resize-10 did: down
/// where it enlarges, up where it shrinks.
Scalar nearestTo(const Scalar &x, const ResizedAxis &axis,
                 const Method &method) {
  if (method.nearest == "round_prefer_floor")
    return ceil(x - 0.5);
  if (method.nearest == "round_prefer_ceil")
    return floor(x + 0.5);
  if (method.nearest == "floor")
    return floor(x);
  if (method.nearest == "ceil")
    return ceil(x);
  return select(axis.scale(*x.body) < 1, ceil(x), floor(x));
}

/// A vector along the axis so that it broadcasts against a tensor of the rank.
Tensor along(const Core &c, const Tensor &vector, int64_t axis, int64_t rank) {
  Shape shape(rank - axis, 1);
  shape[0] = vector.shape[0];
  return c.reshape(vector, shape);
}

Tensor positions(const Core &c, const ResizedAxis &axis, const Method &method) {
  return c.generate({axis.out}, DType::f32, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      return originalPosition(body, axis, method, at[0]);
                    });
}

Tensor takeNearest(const Core &c, const Tensor &x, ArrayRef<ResizedAxis> axes,
                   const Method &method) {
  Shape shape(x.shape);
  SmallVector<Tensor> tables;
  SmallVector<int64_t> moved;
  for (const ResizedAxis &axis : axes) {
    if (isIdentity(c, axis, x, method.crops()))
      continue;
    shape[axis.axis] = axis.out;
    Tensor table = c.generate(
        {axis.out}, DType::i64, {positions(c, axis, method)},
        [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
          return boundedIndex(nearestTo(v[0], axis, method), 0, axis.in - 1);
        });
    tables.push_back(along(c, table, axis.axis, x.rank()));
    moved.push_back(axis.axis);
  }
  if (tables.empty())
    return x;
  Value source = c.value(x);
  return c.generate(shape, x.type, tables,
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at);
                      for (auto [axis, index] : llvm::zip(moved, v))
                        from[axis] = convert(index, DType::index);
                      return c.extract(body, source, x.type, from);
                    });
}

/// The filter that is stretched over the elements around a position: a
/// triangle, or Keys' cubic convolution (doi:10.1109/TASSP.1981.1163711).
Scalar filter(const Scalar &distance, const Method &method) {
  Scalar x = abs(distance), zero = x.like(0);
  if (method.mode == "linear")
    return maximum(1.0 - x, zero);
  double a = method.cubic;
  Scalar inner = ((x * (a + 2) - (a + 3)) * x * x) + 1.0,
         outer = ((x * a - 5 * a) * x + 8 * a) * x - 4 * a;
  return select(x <= x.like(1), inner, select(x < 2, outer, zero));
}

/// Weights of the elements around each position, and which is the first one.
struct Taps {
  Extent count;
  Tensor first;   ///< [out], i64; may lie outside
  Tensor weights; ///< [count, out]
};

Taps tapsOf(const Core &c, const ResizedAxis &axis, const Method &method,
            DType type) {
  Atoms &atoms = c.sizes.atoms;
  int64_t support = method.mode == "linear" ? 1 : 2;
  Extent radius = support;
  if (method.antialias) { // what shrinks stretches the filter
    if (axis.known)
      radius = int64_t(std::ceil(support / std::min(axis.known, 1.0)));
    else
      radius = atoms.simplify(
          atoms.max(atoms.ceilDiv(axis.in, atoms.max(axis.out, 1)) + 1, 1) *
          support);
  }
  Taps taps;
  taps.count = radius * 2;
  Tensor at = positions(c, axis, method);
  taps.first = c.generate(
      {axis.out}, DType::i64, {at},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
        // Far outside, every element is the one at the border.
        Scalar below =
            boundedIndex(floor(v[0]), Extent(-1) - radius, axis.in + radius);
        return below + Scalar::extent(body, DType::index, Extent(1) - radius);
      });
  taps.weights = c.generate(
      {taps.count, axis.out}, type, {at, taps.first},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar index = convert(v[1], DType::index) + at[0];
        Scalar distance = convert(index, type) - convert(v[0], type);
        if (method.antialias)
          distance = distance *
                     minimum(convert(axis.scale(body), type), distance.like(1));
        Scalar weight = filter(distance, method);
        if (method.excludeOutside)
          weight =
              select((index >= 0) &
                         (index < Scalar::extent(body, DType::index, axis.in)),
                     weight, weight.like(0));
        return weight;
      });
  if (method.antialias || method.excludeOutside)
    taps.weights = c.map({taps.weights, c.sum(taps.weights, {0}, true)}, type,
                         [](ArrayRef<Scalar> v) {
                           return v[0] / select(equal(v[1], v[1].like(0)),
                                                v[1].like(1), v[1]);
                         });
  return taps;
}

/// Interpolates along one axis.
Tensor interpolate(const Core &c, const Tensor &x, const ResizedAxis &axis,
                   const Method &method) {
  Taps taps = tapsOf(c, axis, method, x.type);
  Shape shape(x.shape);
  shape[axis.axis] = axis.out;
  Value source = c.value(x);
  auto element = [&](Body &body, ArrayRef<Scalar> at, const Scalar &index) {
    SmallVector<Scalar> from(at.take_front(x.rank()));
    from[axis.axis] = minimum(maximum(index, index.like(0)),
                              Scalar::extent(body, DType::index, axis.in - 1));
    return c.extract(body, source, x.type, from);
  };
  std::optional<int64_t> count = taps.count.constant();
  if (count && *count <= 8) {
    SmallVector<Tensor> in{along(c, taps.first, axis.axis, x.rank())};
    for (int64_t k = 0; k < *count; ++k)
      in.push_back(along(c,
                         c.reshape(c.slice(taps.weights, 0, k, 1), {axis.out}),
                         axis.axis, x.rank()));
    return c.generate(shape, x.type, in,
                      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                        Scalar first = convert(v[0], DType::index), total;
                        for (int64_t k = 0; k < *count; ++k) {
                          Scalar one =
                              v[1 + k] * element(body, at, first + double(k));
                          total = k ? total + one : one;
                        }
                        return total;
                      });
  }
  // [out, 1, ..., 1] and [out, 1, ..., 1, count] against the result's dims and
  // the taps.
  Shape spreadFirst(x.rank() - axis.axis + 1, 1), spreadWeights;
  spreadFirst[0] = axis.out;
  spreadWeights = spreadFirst;
  spreadWeights.back() = taps.count;
  Tensor weights = c.reshape(c.transpose(taps.weights, {1, 0}), spreadWeights);
  return fold(c, shape, {taps.count}, x.type, {},
              {c.reshape(taps.first, spreadFirst), weights},
              [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at,
                  const Scalar &total) {
                return total +
                       v[1] * element(body, at,
                                      convert(v[0], DType::index) + at.back());
              });
}

/// The extrapolation value wherever a position is outside the input.
Tensor extrapolate(const Core &c, const Tensor &y, ArrayRef<ResizedAxis> axes,
                   const Method &method) {
  SmallVector<Tensor> in{y};
  for (const ResizedAxis &axis : axes) {
    Tensor outside =
        c.generate({axis.out}, DType::boolean, {positions(c, axis, method)},
                   [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
                     return (v[0] < 0) | (v[0] > sizeOf(body, axis.in - 1));
                   });
    in.push_back(along(c, outside, axis.axis, y.rank()));
  }
  return c.map(in, y.type, [&](ArrayRef<Scalar> v) {
    Scalar outside = v[1];
    for (const Scalar &one : v.drop_front(2))
      outside = outside | one;
    return select(outside, v[0].like(method.outside), v[0]);
  });
}

Tensor importResize(const Core &c, const Site &s) {
  Method method = methodOf(c, s);
  Tensor x = s[0];
  SmallVector<ResizedAxis> axes = axesOf(c, s, method);
  Tensor y;
  if (method.mode == "nearest") {
    y = takeNearest(c, x, axes, method);
  } else {
    DType type = weightType(x.type);
    y = c.cast(x, type);
    for (const ResizedAxis &axis : axes)
      if (!isIdentity(c, axis, x, method.crops()))
        y = interpolate(c, y, axis, method);
    if (y.type != x.type)
      y = c.map({y}, x.type,
                [&](ArrayRef<Scalar> v) { return saturated(v[0], x.type); });
  }
  return method.crops() ? extrapolate(c, y, axes, method) : y;
}
} // namespace

void fulgur::onnx::registerResize(OpTable &ops) {
  ops["Resize"] = importResize;
  ops["Upsample"] = importResize;
}
