// Discrete Fourier transforms. A length that is known is taken apart into small
// factors; what is left of it, and one that is not known, is a product with a
// matrix.
#include "frontends/onnx/MixedRadix.h"
#include "frontends/onnx/RuntimeAxes.h"
#include "frontends/onnx/Table.h"
#include <cmath>
#include <map>
#include <numbers>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Up to this length, the matrix of a product is a constant, and double costs
/// little.
constexpr int64_t kShort = 128;

/// What a transform along the dim before the last one is. The last dim has a
/// real part, or a real and an imaginary part.
struct Transform {
  Extent length;
  bool inverse = false;
  bool onesided = false; ///< half of the spectrum comes out, or, inversely,
                         ///< goes in
};

/// The radices by which the transform is taken apart; none if it is one
/// product. Those of a short length that is not taken apart wholly cost little.
SmallVector<int64_t> passesOf(const Extent &length) {
  std::optional<int64_t> known = length.constant();
  if (!known || *known < 2)
    return {};
  SmallVector<int64_t> radices = radicesOf(*known);
  int64_t done = 1;
  for (int64_t radix : radices)
    done *= radix;
  if (done != *known && *known <= kShort)
    return {};
  return radices;
}

class Fourier {
public:
  explicit Fourier(const Core &c, DType type) : c(c), type(type) {}

  /// [rows, elements, 1 or 2] to [rows, bins, 2], or to [rows, length, 1] where
  /// half of a spectrum comes in.
  Tensor run(Tensor x, const Transform &t) {
    bool real = c.sizes.atoms.simplify(x.shape[2]).is(1);
    bool toReal = t.inverse && t.onesided;
    Extent bins =
        t.onesided ? c.sizes.atoms.floorDiv(t.length, 2) + 1 : t.length;
    x = resized(x, toReal ? bins : t.length);
    std::optional<int64_t> length = t.length.constant();
    if (length && *length < 1)
      c.fail("a transform of the length " + Twine(*length) +
             " is not possible");
    if (SmallVector<int64_t> radices = passesOf(t.length); !radices.empty()) {
      if (toReal)
        x = wholeSpectrum(x, *length);
      Tensor result = byPasses(x, radices, *length, t.inverse);
      return toReal       ? c.slice(result, 2, 0, 1)
             : t.onesided ? c.slice(result, 1, 0, bins)
                          : result;
    }
    Tensor result = direct(x, t, real, toReal, bins);
    if (!t.inverse)
      return result;
    return c.map(result, [&](const Scalar &v) {
      return v / convert(Scalar::extent(*v.body, DType::index, t.length), type);
    });
  }

private:
  /// Cut off or filled with zeros behind.
  Tensor resized(const Tensor &x, const Extent &elements) {
    Extent have = c.sizes.atoms.simplify(x.shape[1]);
    if (have == elements)
      return x;
    if (c.sizes.atoms.knownAtLeast(have, elements))
      return c.slice(x, 1, 0, elements);
    Value table = c.value(x);
    return c.generate({x.shape[0], elements, x.shape[2]}, type, {},
                      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                        Scalar size = Scalar::extent(body, DType::index, have);
                        Scalar inside = minimum(at[1], size - 1);
                        Scalar element = c.extract(body, table, type,
                                                   {at[0], inside, at[2]});
                        return select(at[1] < size, element, element.like(0));
                      });
  }

  /// The matrix of the transform as a map of reals, [elements · parts, bins ·
  /// results]: computed here where the length is known, else while running.
  Tensor direct(const Tensor &x, const Transform &t, bool real, bool toReal,
                const Extent &bins) {
    int64_t parts = real ? 1 : 2, results = toReal ? 1 : 2;
    Extent elements = toReal ? bins : t.length,
           outputs = toReal ? t.length : bins;
    std::optional<int64_t> length = t.length.constant();
    Tensor matrix;
    if (length && *length <= kShort) {
      int64_t in = *elements.constant(), out = *outputs.constant();
      std::vector<double> numbers;
      for (int64_t j = 0; j < in; ++j)
        for (int64_t part = 0; part < parts; ++part)
          for (int64_t k = 0; k < out; ++k) {
            auto [cosine, sine] = rotation(j * k, *length);
            if (!t.inverse)
              sine = -sine;
            // The mirrored half of a spectrum doubles all but its ends.
            if (toReal && j != 0 && 2 * j != *length)
              cosine *= 2, sine *= 2;
            numbers.push_back(part ? -sine : cosine);
            if (!toReal)
              numbers.push_back(part ? cosine : sine);
          }
      matrix = realTable(c, type, {in * parts, out * results}, numbers);
    } else {
      // All parts are cosines of whole numbers of steps, of which a turn has
      // four times the length: each is computed once.
      Extent turn = t.length * 4;
      Value cosines = c.value(
          c.generate({turn}, type, {},
                     [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                       Scalar size = Scalar::extent(body, DType::index, turn);
                       return cos(convert(at[0], type) *
                                  (2 * std::numbers::pi) / convert(size, type));
                     }));
      matrix = c.generate(
          {elements * parts, outputs * results}, type, {},
          [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
            Scalar j = at[0] / double(parts), k = at[1] / double(results);
            Scalar isImaginary = equal(at[0] - j * double(parts), j.like(1)),
                   wantsImaginary =
                       equal(at[1] - k * double(results), k.like(1));
            Scalar size = Scalar::extent(body, DType::index, t.length);
            // Shifted by quarters of a turn: by none from real to real, to the
            // left for -sin.
            double left = t.inverse ? 3 : 1;
            Scalar none = j.like(0);
            Scalar quarters = select(
                isImaginary, select(wantsImaginary, none, j.like(4 - left)),
                select(wantsImaginary, j.like(left), none));
            Scalar step = remainder(j * k * 4 + quarters * size, size * 4);
            Scalar value = c.extract(body, cosines, type, {step});
            if (!toReal)
              return value;
            Scalar isEnd = equal(j, j.like(0)) | equal(j * 2, size);
            return select(isEnd, value, value * 2);
          });
    }
    Tensor flat = c.reshape(x, {x.shape[0], elements * parts});
    return c.reshape(c.matmul2d(flat, matrix, false),
                     {x.shape[0], outputs, results});
  }

  /// The spectrum of a real signal out of its first half: the other one is
  /// mirrored and conjugate.
  Tensor wholeSpectrum(const Tensor &x, int64_t length) {
    Value table = c.value(x);
    return c.generate({x.shape[0], length, x.shape[2]}, type, {},
                      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                        Scalar isMirrored = at[1] > double(length / 2);
                        Scalar element = c.extract(
                            body, table, type,
                            {at[0],
                             select(isMirrored, double(length) - at[1], at[1]),
                             at[2]});
                        return select(isMirrored & equal(at[2], at[2].like(1)),
                                      -element, element);
                      });
  }

  /// [rows, length, 1 or 2] to [rows, length, 2].
  Tensor byPasses(const Tensor &x, ArrayRef<int64_t> radices, int64_t length,
                  bool inverse) {
    Extent rows = x.shape[0];
    Tensor bins = transformByPasses(c, x, radices, inverse,
                                    inverse ? 1.0 / double(length) : 1);
    Extent done = bins.shape[1], rest = bins.shape[2];
    if (!rest.is(1)) {
      bins = direct(c.reshape(bins, {rows * done, rest, 2}),
                    {rest, inverse, false}, /*real=*/false, /*toReal=*/false,
                    rest);
      bins = c.transpose(c.reshape(bins, {rows, done, rest, 2}), {0, 2, 1, 3});
    }
    return c.reshape(bins, {rows, length, 2});
  }

  const Core &c;
  DType type;
};

/// The transform of any number of dims along `axis`.
Tensor transform(const Core &c, const Tensor &input, int64_t axis,
                 const Transform &t) {
  // A bin that should be zero is a sum that cancels: numpy, which others are
  // compared with, computes the inverse of complex numbers in their own
  // precision and the others in double. The latter cost little where they are
  // short; products sum up more terms.
  bool isInverse = t.inverse && !t.onesided;
  std::optional<int64_t> length = t.length.constant();
  DType type = passesOf(t.length).empty() || (!isInverse && *length <= kShort)
                   ? DType::f64
                   : computeType(input.type);
  Tensor x = c.cast(input, type);
  int64_t last = x.rank() - 1;
  SmallVector<int64_t> order;
  for (int64_t k = 0; k < last; ++k)
    if (k != axis)
      order.push_back(k);
  order.append({axis, last});
  SmallVector<int64_t> back(order.size());
  for (auto [k, from] : llvm::enumerate(order))
    back[from] = k;
  bool moves = !llvm::is_sorted(order);
  if (moves)
    x = c.transpose(x, order);
  Shape outer(x.shape.begin(), x.shape.end() - 2);
  Tensor flat =
      c.reshape(x, {product(outer), x.shape[last - 1], x.shape[last]});
  Tensor result = Fourier(c, type).run(flat, t);
  Shape shape(outer);
  shape.append({result.shape[1], result.shape[2]});
  result = c.reshape(result, shape);
  return c.cast(moves ? c.transpose(result, back) : result, input.type);
}

/// The number that an input must hold.
Extent sizeOf(const Core &c, const Site &s, size_t input, StringRef what) {
  Shape given = s.sizes(input);
  if (given.size() != 1)
    c.fail(what + " must be one number");
  return given[0];
}

/// A signal whose last dim is 1 or 2, real or complex. One that is not known
/// becomes complex.
Tensor signalOf(const Core &c, const Tensor &x) {
  c.requireType(x, isReal(x.type), "floating point");
  if (x.rank() < 2)
    c.fail("a signal must be of rank 2 or more, not of shape " +
           c.text(x.shape));
  Extent parts = c.sizes.atoms.simplify(x.shape.back());
  if (parts.is(1) || parts.is(2))
    return x;
  if (parts.constant())
    c.fail("the last dim of a signal must be 1 or 2, real or complex; its "
           "shape is " +
           c.text(x.shape));
  StringRef message = "the last dim of a signal must be 1 or 2";
  c.sizes.requireAtLeast(2, parts, message, c.loc);
  c.sizes.requireAtLeast(parts, 1, message, c.loc);
  Shape shape(x.shape);
  shape.back() = 2;
  Value table = c.value(x);
  return c.generate(
      shape, x.type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Scalar last = Scalar::extent(body, DType::index, parts) - 1;
        SmallVector<Scalar> from(at);
        from.back() = minimum(at.back(), last);
        Scalar element = c.extract(body, table, x.type, from);
        return select(at.back() <= last, element, element.like(0));
      });
}

Tensor importDFT(const Core &c, const Site &s) {
  Tensor x = signalOf(c, s[0]);
  int64_t last = x.rank() - 1;
  Transform t;
  t.inverse = s.integer("inverse", 0);
  t.onesided = s.integer("onesided", 0);
  if (t.inverse && t.onesided && !x.shape.back().is(2))
    c.fail("half of a spectrum must be complex");
  auto settleLength = [&](const Extent &elements) {
    t.length =
        c.sizes.atoms.simplify(s[1] ? sizeOf(c, s, 1, "dft_length")
                               : t.inverse && t.onesided ? (elements - 1) * 2
                                                         : elements);
  };
  // Before opset 20 the axis is an attribute.
  Shape given =
      s[2] ? s.extents(2) : Shape{s.integer("axis", s.opset() < 20 ? 1 : -2)};
  if (given.size() != 1)
    c.fail("the axis must be one number");
  if (std::optional<int64_t> known = given[0].constant()) {
    int64_t axis = c.axis(*known, x.rank());
    if (axis == last)
      c.fail("the axis must not be that of the real and the imaginary part");
    settleLength(x.shape[axis]);
    return transform(c, x, axis, t);
  }
  // An axis that is a number of the data: the dims before and behind it are
  // taken as one each.
  RuntimeAxes axes(c, given, x.rank());
  c.sizes.requireAtLeast(
      last - 1, axes.axes[0],
      "the axis must not be that of the real and the imaginary part", c.loc);
  Shape around = aroundAxis(c, ArrayRef(x.shape).drop_back(), axes.axes[0]);
  around.push_back(x.shape.back());
  settleLength(around[1]);
  Tensor result;
  Extent bins;
  // Where the transform has a length for each axis that is known, it is done
  // with all of them, on all rows or on none.
  std::map<int64_t, Extent> counts;
  bool known = !t.length.constant();
  for (int64_t axis = 0; axis < last && known; ++axis) {
    // An inverse of one bin has no elements.
    std::optional<int64_t> size = x.shape[axis].constant();
    known = size && (*size > 1 || !t.inverse || !t.onesided);
    if (known)
      counts[*size] += axes.flags[axis];
  }
  if (!known) {
    result = transform(c, RuntimeAxes::reshape(c, x, around), 1, t);
    bins = result.shape[1];
  } else {
    SmallVector<Tensor> results;
    Extent elements = product(ArrayRef(x.shape).drop_back());
    Tensor flat = c.reshape(x, {elements, x.shape.back()});
    for (const auto &[size, count] : counts) {
      settleLength(size);
      Extent used = c.sizes.atoms.simplify(count);
      Tensor rows = RuntimeAxes::reshape(
          c, c.slice(flat, 0, 0, elements * used),
          {around[0] * used, size, around[2], x.shape.back()});
      Tensor one = transform(c, rows, 1, t);
      bins += one.shape[1] * used;
      results.push_back(c.reshape(
          one, {product(ArrayRef(one.shape).drop_back()), one.shape.back()}));
    }
    result = c.concat(results, 0);
  }
  Shape shape = axes.replaced(c, x.shape, c.sizes.atoms.simplify(bins));
  shape.back() = result.shape.back();
  return RuntimeAxes::reshape(c, result, shape);
}

/// Transforms of overlapping pieces of the signal, each weighted by the window.
Tensor importSTFT(const Core &c, const Site &s) {
  Tensor window = s[2],
         x = signalOf(c, s[0].rank() == 2 ? c.unsqueeze(s[0], {2}) : s[0]);
  if (x.rank() != 3 || (window && window.rank() != 1))
    c.fail("needs a signal of rank 3 and a window of rank 1, not " +
           c.text(s[0].shape) + (window ? " and " + c.text(window.shape) : ""));
  Extent step = sizeOf(c, s, 1, "frame_step");
  Extent length = s[3]     ? sizeOf(c, s, 3, "frame_length")
                  : window ? window.shape[0]
                           : x.shape[1];
  if (window)
    c.requireEqual(window.shape[0], length);
  if (c.sizes.atoms.upper(step) < 1)
    c.fail("frame_step is " + c.sizes.atoms.text(step) + ", not positive");
  c.sizes.requireAtLeast(step, 1, "frame_step must be positive", c.loc);
  c.sizes.requireAtLeast(x.shape[1], length,
                         "the signal is shorter than a frame", c.loc);
  Extent frames =
      c.sizes.atoms.floorDiv(x.shape[1] - length, c.sizes.atoms.max(step, 1)) +
      1;
  Value table = c.value(x);
  SmallVector<Tensor> weights;
  if (window)
    weights.push_back(c.reshape(window, {length, 1}));
  Tensor pieces = c.generate(
      {x.shape[0], frames, length, x.shape[2]}, x.type, weights,
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar place = at[1] * Scalar::extent(body, DType::index, step) + at[2];
        Scalar element = c.extract(body, table, x.type, {at[0], place, at[3]});
        return v.empty() ? element : element * v[0];
      });
  return transform(
      c, pieces, 2,
      {c.sizes.atoms.simplify(length), false, s.integer("onesided", 1) != 0});
}

/// Triangles over the bins of a spectrum, spaced evenly on the mel scale.
Tensor importMelWeightMatrix(const Core &c, const Site &s) {
  Extent filters = sizeOf(c, s, 0, "num_mel_bins"),
         length = sizeOf(c, s, 1, "dft_length");
  Extent bins = c.sizes.atoms.floorDiv(length, 2) + 1;
  auto scalar = [&](size_t input) {
    return c.cast(c.reshape(s[input], {}), DType::f64);
  };
  Tensor rate = scalar(2), low = scalar(3), high = scalar(4);
  // The bins at which the triangles begin, peak and end.
  Tensor edges = c.generate(
      {filters + 2}, DType::i64, {rate, low, high},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto mel = [](const Scalar &hertz) {
          return log1p(hertz / 700) * (2595 / std::numbers::ln10);
        };
        auto real = [&](const Extent &size) {
          return convert(Scalar::extent(body, DType::index, size), DType::f64);
        };
        Scalar step = (mel(v[2]) - mel(v[1])) / real(filters + 2);
        Scalar point = convert(at[0], DType::f64) * step + mel(v[1]);
        Scalar hertz = expm1(point * (std::numbers::ln10 / 2595)) * 700;
        return convert(floor(real(length + 1) * hertz / v[0]), DType::i64);
      });
  Value table = c.value(edges);
  DType type = s.dtype("output_datatype", DType::f32);
  return c.generate(
      {bins, filters}, type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        auto edge = [&](double k) {
          return convert(c.extract(body, table, DType::i64, {at[1] + k}),
                         DType::f64);
        };
        Scalar bin = convert(at[0], DType::f64), left = edge(0), peak = edge(1),
               right = edge(2);
        Scalar rising = (bin - left) / (peak - left),
               falling = (right - bin) / (right - peak);
        Scalar value =
            select((bin >= peak) & (bin < right), falling,
                   select((bin >= left) & (bin <= peak) & (left < peak), rising,
                          bin.like(0)));
        Scalar isOnlyPeak =
            equal(left, peak) & equal(bin, peak) & (right <= peak);
        return select(isOnlyPeak, bin.like(1), value);
      });
}
} // namespace

void fulgur::onnx::registerFourier(OpTable &ops) {
  ops["DFT"] = importDFT;
  ops["MelWeightMatrix"] = {importMelWeightMatrix, 5};
  ops["STFT"] = {importSTFT, 2};
}
