// Elements of images at positions that are data: grids of them, and
// convolutions whose windows are bent.
#include "frontends/onnx/Fold.h"
#include "frontends/onnx/Window.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
enum class Outside { zeros, border, reflection };

/// The remainder that has the sign of the divisor, of integers.
Scalar wrapped(const Scalar &x, const Scalar &divisor) {
  Scalar rest = remainder(x, divisor);
  return select(rest < 0, rest + divisor, rest);
}

/// The index reflected at the borders of [0, size): at the outermost elements
/// or, without `atCenters`, half an element outside of them.
Scalar reflected(const Scalar &index, const Extent &size, bool atCenters) {
  Atoms &atoms = index.body->sizes.atoms;
  auto extent = [&](const Extent &e) {
    return Scalar::extent(*index.body, DType::index, atoms.simplify(e));
  };
  Scalar period = extent(atCenters ? atoms.max((size - 1) * 2, 1) : size * 2),
         count = extent(size);
  Scalar place = wrapped(index, period);
  Scalar back = period - place;
  return minimum(select(place < count, place, atCenters ? back : back - 1.0),
                 count - 1.0);
}

/// The same for a position between elements.
Scalar reflectedPosition(const Scalar &x, const Extent &size, bool atCenters) {
  Scalar count = convert(Scalar::extent(*x.body, DType::index, size), x.type);
  Scalar low = x.like(atCenters ? 0 : -0.5),
         range = atCenters ? count - 1.0 : count;
  Scalar flat = range <= range.like(0); // a single element
  Scalar divisor = select(flat, range.like(1), range);
  Scalar distance = abs(x - low);
  Scalar times = floor(distance / divisor), rest = distance - times * divisor;
  Scalar even = equal(times, floor(times * 0.5) * 2.0);
  return select(flat, low, select(even, low + rest, low + range - rest));
}

/// The neighbours of a position on one axis: their indices, which can be read,
/// and their weights.
struct Neighbours {
  std::vector<Scalar> index, weight;
};

/// How many neighbours there are on either side.
int64_t reachOf(StringRef mode) {
  return mode == "nearest" ? 0 : mode == "linear" ? 1 : 2;
}

Neighbours neighboursOf(const Scalar &x, const Extent &size, StringRef mode,
                        Outside outside, bool atCenters) {
  int64_t reach = reachOf(mode), taps = std::max<int64_t>(2 * reach, 1);
  auto extent = [&](const Extent &e) {
    return Scalar::extent(*x.body, DType::index, e);
  };
  Scalar below = floor(x), rest = x - below;
  // Farther away than the neighbours reach, nothing changes.
  Scalar first = boundedIndex(below, -4, size + 4) -
                 double(std::max<int64_t>(reach - 1, 0));
  Neighbours result;
  for (int64_t k = 0; k < taps; ++k) {
    Scalar index = first + double(k), weight = rest.like(1);
    if (mode == "linear") {
      weight = k ? rest : 1.0 - rest;
    } else if (mode == "cubic") { // Keys' convolution with a = -0.75
      constexpr double a = -0.75;
      Scalar d = abs(rest - double(k - 1));
      weight = k == 1 || k == 2 ? ((d * (a + 2) - (a + 3)) * d * d) + 1.0
                                : ((d * a - 5 * a) * d + 8 * a) * d - 4 * a;
    }
    Scalar clamped = minimum(maximum(index, index.like(0)), extent(size - 1));
    if (outside == Outside::zeros)
      weight =
          select((index >= 0) & (index < extent(size)), weight, weight.like(0));
    result.index.push_back(outside == Outside::reflection
                               ? reflected(index, size, atCenters)
                               : clamped);
    result.weight.push_back(weight);
  }
  return result;
}

/// The neighbours for a whole tensor of positions: tables of the indices and
/// then of the weights, which the channels share.
SmallVector<Tensor> neighbourTables(const Core &c, const Tensor &positions,
                                    const Extent &size, StringRef mode,
                                    Outside outside, bool atCenters,
                                    DType weights) {
  auto table = [&](DType type, std::vector<Scalar> Neighbours::*member,
                   size_t tap) {
    return c.generate(positions.shape, type, {positions},
                      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
                        Neighbours all =
                            neighboursOf(convert(v[0], weights), size, mode,
                                         outside, atCenters);
                        return convert((all.*member)[tap], type);
                      });
  };
  SmallVector<Tensor> tables;
  size_t taps = std::max<int64_t>(2 * reachOf(mode), 1);
  for (size_t tap = 0; tap < taps; ++tap)
    tables.push_back(table(DType::i64, &Neighbours::index, tap));
  for (size_t tap = 0; tap < taps; ++tap)
    tables.push_back(table(weights, &Neighbours::weight, tap));
  return tables;
}

/// An element of each of the tables of several axes.
SmallVector<Neighbours, 3> neighboursFrom(ArrayRef<Scalar> v, int64_t axes,
                                          StringRef mode) {
  size_t taps = std::max<int64_t>(2 * reachOf(mode), 1);
  SmallVector<Neighbours, 3> result(axes);
  for (Neighbours &axis : result) {
    axis.index = v.take_front(taps).vec();
    axis.weight = v.slice(taps, taps).vec();
    v = v.drop_front(2 * taps);
  }
  return result;
}

/// The weighted sum of the neighbours on all axes; `at` are the coordinates in
/// front of them.
Scalar weigh(const Core &c, Body &body, Value table, DType type, DType weights,
             SmallVector<Scalar> at, ArrayRef<Neighbours> axes) {
  const Neighbours &first = axes.front();
  Scalar total;
  for (size_t k = 0; k < first.index.size(); ++k) {
    SmallVector<Scalar> next(at);
    next.push_back(first.index[k]);
    Scalar part =
        axes.size() == 1
            ? convert(c.extract(body, table, type, next), weights)
            : weigh(c, body, table, type, weights, next, axes.drop_front());
    part = first.weight[k] * part;
    total = k ? total + part : part;
  }
  return total;
}

/// The element at whole positions, or 0 where a weight is 0.
Scalar pick(const Core &c, Body &body, Value table, DType type,
            SmallVector<Scalar> at, ArrayRef<Neighbours> axes) {
  Scalar inside = Scalar::constant(body, DType::boolean, 1);
  for (const Neighbours &axis : axes) {
    at.push_back(axis.index[0]);
    inside = inside & (axis.weight[0] > 0);
  }
  Scalar element = c.extract(body, table, type, at);
  return select(inside, element, element.like(0));
}

/// For each position of the grid, the element of the input there. The last dim
/// of the grid counts the axes backwards, from -1 to 1 over the image.
Tensor importGridSample(const Core &c, const Site &s) {
  Tensor x = s[0], grid = s[1];
  StringRef mode = s.text("mode", "linear"),
            padding = s.text("padding_mode", "zeros");
  if (mode == "bilinear" || mode == "bicubic") // before opset 20
    mode = mode.drop_front(2);
  if (!llvm::is_contained({"linear", "nearest", "cubic"}, mode))
    c.fail("mode is '" + mode + "', not one of linear, nearest, cubic");
  if (!llvm::is_contained({"zeros", "border", "reflection"}, padding))
    c.fail("padding_mode is '" + padding +
           "', not one of zeros, border, reflection");
  Outside outside = padding == "zeros"    ? Outside::zeros
                    : padding == "border" ? Outside::border
                                          : Outside::reflection;
  bool corners = s.integer("align_corners", 0);
  int64_t dims = x.rank() - 2;
  if (dims < 1 || grid.rank() != x.rank())
    c.fail("an input of shape " + c.text(x.shape) +
           " does not fit a grid of shape " + c.text(grid.shape));
  c.requireEqual(grid.shape.back(), dims, "the coordinates of a place");
  c.requireType(grid, isReal(grid.type), "floating point");
  c.requireEqual(x.shape[0], grid.shape[0]);
  DType weights = mode == "nearest" ? DType::f32 : weightType(x.type),
        places = grid.type == DType::f64 ? DType::f64 : DType::f32;
  if (grid.type == DType::f64)
    weights = DType::f64;

  Shape shape{x.shape[0], x.shape[1]}, shared{x.shape[0], 1};
  for (int64_t k = 1; k <= dims; ++k) {
    shape.push_back(grid.shape[k]);
    shared.push_back(grid.shape[k]);
  }
  SmallVector<Tensor> tables;
  for (int64_t k = 0; k < dims; ++k) {
    const Extent &size = x.shape[2 + k];
    c.sizes.requireAtLeast(size, 1, "an empty image cannot be sampled", c.loc);
    Tensor normal =
        c.reshape(c.slice(grid, grid.rank() - 1, dims - 1 - k, 1), shared);
    Tensor position =
        c.map({c.cast(normal, places)}, places, [&](ArrayRef<Scalar> v) {
          Scalar count =
              convert(Scalar::extent(*v[0].body, DType::index, size), places);
          Scalar at = corners ? (v[0] + 1.0) * 0.5 * (count - 1.0)
                              : ((v[0] + 1.0) * count - 1.0) * 0.5;
          if (mode == "nearest")
            return round(at);
          if (outside == Outside::border) { // half an element is not outside
            double margin = corners ? 0 : 0.5;
            Scalar last = count - 1.0;
            return select(at >= -margin, select(at <= last + margin, at, last),
                          at.like(0));
          }
          return outside == Outside::zeros
                     ? at
                     : reflectedPosition(at, size, corners);
        });
    tables.append(
        neighbourTables(c, position, size, mode, outside, corners, weights));
  }
  Value table = c.value(x);
  return c.generate(
      shape, x.type, tables,
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        SmallVector<Neighbours, 3> axes = neighboursFrom(v, dims, mode);
        SmallVector<Scalar> front(at.take_front(2));
        if (mode == "nearest")
          return pick(c, body, table, x.type, front, axes);
        return saturated(weigh(c, body, table, x.type, weights, front, axes),
                         x.type);
      });
}

/// theta · (x, y, ..., 1) for every position of an image of the given size,
/// whose coordinates go from -1 to 1.
Tensor importAffineGrid(const Core &c, const Site &s) {
  Tensor theta = s[0];
  c.requireType(theta, isReal(theta.type), "floating point");
  Shape size = s.extents(1);
  int64_t dims = int64_t(size.size()) - 2;
  if (dims < 2 || dims > 3 || theta.rank() != 3)
    c.fail("matrices of shape " + c.text(theta.shape) +
           " do not fit a size with " + Twine(size.size()) + " entries");
  c.requireEqual(theta.shape[1], dims, "the rows of a matrix");
  c.requireEqual(theta.shape[2], dims + 1, "the columns of a matrix");
  c.requireEqual(theta.shape[0], size[0]);
  bool corners = s.integer("align_corners", 0);
  Shape shape{theta.shape[0]};
  shape.append(size.begin() + 2, size.end());
  shape.push_back(dims);
  DType type = theta.type == DType::f64 ? DType::f64 : DType::f32;
  Value table = c.value(theta);
  return c.generate(
      shape, theta.type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        auto entry = [&](int64_t column) {
          return c.extract(
              body, table, theta.type,
              {at[0], at.back(),
               Scalar::constant(body, DType::index, double(column))});
        };
        Scalar total = entry(dims);
        for (int64_t k = 0; k < dims; ++k) { // x is the last axis
          int64_t axis = dims - 1 - k;
          Scalar count =
              convert(Scalar::extent(body, DType::index, size[2 + axis]), type);
          Scalar index = convert(at[1 + axis], type), place;
          if (corners) {
            Scalar last = count - 1.0; // 0 for a single element, then it is -1
            place = index * 2.0 /
                        select(equal(last, last.like(0)), last.like(1), last) -
                    1.0;
          } else {
            place = (index * 2.0 + 1.0) / count - 1.0;
          }
          total = total + entry(k) * place;
        }
        return total;
      });
}

/// A convolution that takes the elements of each window from where offsets move
/// them (arXiv:1703.06211), weighted by a mask (arXiv:1811.11168): a product
/// with columns that are sampled.
Tensor importDeformConv(const Core &c, const Site &s) {
  DType type = computeType(s[0].type);
  c.requireType(s[0], isReal(type), "floating point");
  Tensor x = c.cast(s[0], type), weights = c.cast(s[1], type),
         offset = c.cast(s[2], type);
  if (x.rank() < 3 || weights.rank() != x.rank() || offset.rank() != x.rank())
    c.fail("input, weights and offset have the ranks " + Twine(x.rank()) +
           ", " + Twine(weights.rank()) + " and " + Twine(offset.rank()));
  SmallVector<int64_t> kernel = kernelOf(c, s, weights);
  SmallVector<Window, 3> windows = windowsOf(c, s, x, kernel);
  int64_t dims = kernel.size(), groups = s.integer("group", 1),
          offsetGroups = s.integer("offset_group", 1);
  auto divided = [&](const Extent &size, int64_t by, StringRef what) {
    std::optional<Extent> each = by < 1 ? std::nullopt : size.divideExactly(by);
    if (!each)
      c.fail(c.sizes.atoms.text(size) + " " + what +
             " cannot be divided into " + Twine(by) + " groups");
    return *each;
  };
  Extent batch = x.shape[0], channels = x.shape[1];
  Extent perOffset = divided(channels, offsetGroups, "channels"),
         perGroup = divided(channels, groups, "channels"),
         filters = divided(weights.shape[0], groups, "filters");
  c.requireEqual(perGroup, weights.shape[1]);
  int64_t taps = 1;
  Extent places = 1;
  Shape image, shape{batch, weights.shape[0]};
  for (auto [k, w] : llvm::enumerate(windows)) {
    taps *= w.kernel;
    places *= w.count;
    image.push_back(w.count);
    shape.push_back(w.count);
    c.requireEqual(offset.shape[2 + k], w.count);
    c.sizes.requireAtLeast(x.shape[2 + k], 1,
                           "an empty image cannot be sampled", c.loc);
  }

  // Tables for [batch, offset group, 1, tap, the result's dims] on each axis;
  // the channels of a group share them.
  Shape split{batch, offsetGroups, taps, dims},
      shared{batch, offsetGroups, 1, taps};
  split.append(image);
  shared.append(image);
  Tensor moved = c.reshape(offset, split);
  SmallVector<Tensor> in;
  for (int64_t k = 0; k < dims; ++k) {
    int64_t inner = 1; // taps that differ in the axes behind
    for (int64_t next = k + 1; next < dims; ++next)
      inner *= kernel[next];
    const Window &w = windows[k];
    Tensor own = c.reshape(c.slice(moved, 3, k, 1), shared);
    Tensor position =
        c.generate(shared, type, {own},
                   [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     Scalar tap =
                         remainder(at[3] / double(inner), at[3].like(w.kernel));
                     Scalar start = at[4 + k] * double(w.stride) +
                                    tap * double(w.dilation) -
                                    Scalar::extent(body, DType::index, w.low);
                     return convert(start, type) + v[0];
                   });
    in.append(neighbourTables(c, position, x.shape[2 + k], "linear",
                              Outside::zeros, true, type));
  }
  if (s[4])
    in.push_back(c.reshape(c.cast(s[4], type), shared));
  Shape sampled{batch, offsetGroups, perOffset, taps};
  sampled.append(image);
  Value table = c.value(x);
  Tensor columns = c.generate(
      sampled, type, in,
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        SmallVector<Neighbours, 3> axes = neighboursFrom(v, dims, "linear");
        Scalar channel =
            at[1] * Scalar::extent(body, DType::index, perOffset) + at[2];
        Scalar sample =
            weigh(c, body, table, type, type, {at[0], channel}, axes);
        return s[4] ? sample * v.back() : sample;
      });
  Tensor product;
  if (groups == 1)
    product = c.matmul(c.reshape(weights, {filters, channels * taps}),
                       c.reshape(columns, {batch, channels * taps, places}));
  else
    product =
        c.matmul(c.reshape(weights, {groups, filters, perGroup * taps}),
                 c.reshape(columns, {batch, groups, perGroup * taps, places}));
  Tensor y = c.reshape(product, shape);
  return c.cast(s[3] ? addBias(c, y, c.cast(s[3], type)) : y, s[0].type);
}

/// Crops or pads each axis to the wanted size, evenly on both sides.
Tensor importCenterCropPad(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape wanted = s.extents(1);
  SmallVector<int64_t> axes = s.axesOrAll("axes", x.rank());
  if (wanted.size() != axes.size())
    c.fail(Twine(wanted.size()) + " sizes for " + Twine(axes.size()) + " axes");
  Atoms &atoms = c.sizes.atoms;
  Shape start(x.rank(), 0), size(x.shape), low(x.rank(), 0), high(x.rank(), 0);
  for (auto [axis, target] : llvm::zip(axes, wanted)) {
    const Extent &now = x.shape[axis];
    Extent more = atoms.simplify(now - target),
           less = atoms.simplify(target - now);
    start[axis] = atoms.floorDiv(atoms.max(more, 0), 2);
    size[axis] = atoms.min(now, target);
    low[axis] = atoms.floorDiv(atoms.max(less, 0), 2);
    high[axis] = atoms.simplify(target - size[axis] - low[axis]);
  }
  return c.pad(c.slice(x, start, size, SmallVector<int64_t>(x.rank(), 1)), low,
               high, {});
}

Tensor importImageDecoder(const Core &c, const Site &s) {
  c.unsupported("decoding of image files is not part of compiled models; "
                "decode the image before and make its pixels the input");
}
} // namespace

void fulgur::onnx::registerSampling(OpTable &ops) {
  ops["AffineGrid"] = {importAffineGrid, 2};
  ops["CenterCropPad"] = {importCenterCropPad, 2};
  ops["DeformConv"] = {importDeformConv, 3};
  ops["GridSample"] = {importGridSample, 2};
  ops["ImageDecoder"] = importImageDecoder;
}
