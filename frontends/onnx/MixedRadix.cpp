#include "frontends/onnx/MixedRadix.h"
#include "dialects/Rounding.h"
#include "frontends/onnx/Table.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <cmath>
#include <numbers>

using namespace mlir;
using namespace fulgur::onnx;

std::pair<double, double> fulgur::onnx::rotation(int64_t index,
                                                 int64_t length) {
  // From the nearest quarter of a turn.
  index %= length;
  int64_t quarter = (8 * index + length) / (2 * length);
  double angle = std::numbers::pi / 2 *
                 (double(4 * index - quarter * length) / double(length));
  double cosine = std::cos(angle), sine = std::sin(angle);
  if (quarter & 1)
    std::tie(cosine, sine) = std::pair(-sine, cosine);
  if (quarter & 2)
    std::tie(cosine, sine) = std::pair(-cosine, -sine);
  return {cosine, sine};
}

SmallVector<int64_t> fulgur::onnx::radicesOf(int64_t length) {
  SmallVector<int64_t> radices;
  auto divide = [&](int64_t radix) {
    for (; length % radix == 0; length /= radix)
      radices.push_back(radix);
  };
  divide(8);
  divide(4);
  if (length % 2 == 0) {
    divide(2);
    std::swap(radices.front(), radices.back());
  }
  for (int64_t prime : {3, 5, 7, 11, 13})
    divide(prime);
  return radices;
}

namespace {
struct Complex {
  Scalar re, im;
};
Complex operator+(const Complex &a, const Complex &b) {
  return {a.re + b.re, a.im + b.im};
}
Complex operator-(const Complex &a, const Complex &b) {
  return {a.re - b.re, a.im - b.im};
}
Complex operator*(const Complex &a, const Complex &b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/// Turned clockwise by eighths of a turn, fewer than four.
Complex turned(Complex x, int64_t eighths) {
  if (eighths & 1)
    x = {(x.re + x.im) * std::numbers::sqrt2 / 2,
         (x.im - x.re) * std::numbers::sqrt2 / 2};
  if (eighths & 2)
    x = {x.im, -x.re};
  return x;
}

/// The transform of a small number of elements.
SmallVector<Complex> butterfly(ArrayRef<Complex> x) {
  int64_t radix = x.size();
  if (radix == 1)
    return {x[0]};
  SmallVector<Complex> bins(x);
  if (radix % 2 == 0) {
    // Those of the even and of the odd elements.
    SmallVector<Complex> evens, odds;
    for (int64_t j = 0; j < radix; j += 2) {
      evens.push_back(x[j]);
      odds.push_back(x[j + 1]);
    }
    evens = butterfly(evens);
    odds = butterfly(odds);
    for (int64_t k = 0; k < radix / 2; ++k) {
      Complex odd = turned(odds[k], 8 * k / radix);
      bins[k] = evens[k] + odd;
      bins[k + radix / 2] = evens[k] - odd;
    }
    return bins;
  }
  // Cosines are the same for both elements of a pair around the middle, and for
  // both bins of one; sines are opposite.
  int64_t half = radix / 2;
  SmallVector<Complex> sums(x), differences(x);
  for (int64_t j = 1; j <= half; ++j) {
    sums[j] = x[j] + x[radix - j];
    differences[j] = x[j] - x[radix - j];
    bins[0] = bins[0] + sums[j];
  }
  for (int64_t k = 1; k <= half; ++k) {
    Complex even = x[0], odd = x[0];
    for (int64_t j = 1; j <= half; ++j) {
      auto [cosine, sine] = rotation(j * k, radix);
      Complex wave{differences[j].re * sine, differences[j].im * sine};
      even = even + Complex{sums[j].re * cosine, sums[j].im * cosine};
      odd = j == 1 ? wave : odd + wave;
    }
    // The differences are turned by a quarter.
    bins[k] = {even.re + odd.im, even.im - odd.re};
    bins[radix - k] = {even.re - odd.im, even.im + odd.re};
  }
  return bins;
}

/// How the parts of complex numbers lie: as the first dim behind the rows, or
/// as the last one.
struct Layout {
  bool interleaved = false, swapped = false;
  int64_t parts = 2;

  /// The place of the real (0) or the imaginary part (1).
  int64_t place(int64_t part) const { return swapped ? 1 - part : part; }
};

/// One pass: `radix` elements, which lie `behind` apart, become bins, which lie
/// before·behind apart; `before` is the product of the radices that are done.
struct RadixPass {
  const Core &c;
  Layout from, to;
  int64_t before, radix, behind;
  double scale;

  Tensor run(const Tensor &x) {
    Extent rows = x.shape[0];
    MLIRContext *context = c.builder.getContext();
    AffineExpr row, k, i;
    bindDims(context, row, k, i);
    auto number = [&](int64_t value) {
      return getAffineConstantExpr(value, context);
    };
    SmallVector<Value> operands;
    SmallVector<AffineMap> maps;
    auto read = [&](Value table, ArrayRef<AffineExpr> at) {
      operands.push_back(table);
      maps.push_back(AffineMap::get(3, 0, at, context));
    };
    Value elements =
        c.value(from.interleaved
                    ? c.reshape(x, {rows, before, radix, behind, from.parts})
                    : c.reshape(x, {rows, from.parts, before, radix, behind}));
    for (int64_t j = 0; j < radix; ++j)
      for (int64_t part = 0; part < from.parts; ++part)
        if (from.interleaved)
          read(elements, {row, k, number(j), i, number(part)});
        else
          read(elements, {row, number(part), k, number(j), i});
    if (behind > 1) {
      SmallVector<Value> factors = twiddles(x.type);
      for (int64_t j = 1; j < radix; ++j)
        for (Value part : factors)
          read(part, {number(j - 1), i});
    }

    Shape shape{rows, before, behind};
    SmallVector<Value> outs(2 * radix, c.empty(shape, x.type));
    maps.append(outs.size(), c.builder.getMultiDimIdentityMap(3));
    auto pass = linalg::GenericOp::create(
        c.builder, c.loc, TypeRange(ValueRange(outs)), operands, outs, maps,
        SmallVector(3, utils::IteratorType::parallel),
        [&](OpBuilder &inside, Location, ValueRange values) {
          Body body = c.body(&inside);
          SmallVector<Scalar> results = compute(body, x.type, values);
          SmallVector<Value> yielded;
          for (const Scalar &result : results)
            yielded.push_back(result.emit());
          linalg::YieldOp::create(inside, c.loc, yielded);
        });
    // No product is rounded together with the sum that it goes into.
    pass.walk([&](arith::MulFOp product) {
      product->setAttr(fulgur::kRoundedAttr, c.builder.getUnitAttr());
    });
    return gathered(pass.getResults(), x.type, rows);
  }

private:
  /// The cosines and the sines by which bins other than the first are turned.
  SmallVector<Value> twiddles(DType type) {
    std::vector<double> cosines, sines;
    for (int64_t j = 1; j < radix; ++j)
      for (int64_t i = 0; i < behind; ++i) {
        auto [cosine, sine] = rotation(j * i, radix * behind);
        cosines.push_back(cosine);
        sines.push_back(-sine);
      }
    return {c.value(realTable(c, type, {radix - 1, behind}, cosines)),
            c.value(realTable(c, type, {radix - 1, behind}, sines))};
  }

  /// The parts of all bins out of the operands of the pass.
  SmallVector<Scalar> compute(Body &body, DType type, ValueRange values) {
    auto scalar = [&](int64_t k) {
      return Scalar{&body, type, values[k], std::nullopt};
    };
    SmallVector<Complex> elements;
    for (int64_t j = 0; j < radix; ++j) {
      auto part = [&](int64_t part) {
        int64_t place = from.place(part);
        return place < from.parts ? scalar(from.parts * j + place)
                                  : Scalar::constant(body, type, 0);
      };
      elements.push_back({part(0), part(1)});
    }
    SmallVector<Scalar> results;
    for (auto [j, bin] : llvm::enumerate(butterfly(elements))) {
      Complex result = bin;
      if (j != 0 && behind > 1) {
        int64_t factor = from.parts * radix + 2 * (j - 1);
        result = bin * Complex{scalar(factor), scalar(factor + 1)};
      }
      if (scale != 1)
        result = {result.re * scale, result.im * scale};
      results.push_back(result.re);
      results.push_back(result.im);
    }
    return results;
  }

  /// One tensor of all parts of all bins.
  Tensor gathered(ValueRange results, DType type, const Extent &rows) {
    Shape shape = to.interleaved ? Shape{rows, radix, before, behind, 2}
                                 : Shape{rows, 2, radix, before, behind};
    Value all = c.empty(shape, type);
    for (auto [number, bins] : llvm::enumerate(results)) {
      int64_t j = number / 2, part = to.place(number % 2);
      Shape start = to.interleaved ? Shape{0, j, 0, 0, part}
                                   : Shape{0, part, j, 0, 0},
            extents = to.interleaved ? Shape{rows, 1, before, behind, 1}
                                     : Shape{rows, 1, 1, before, behind};
      all = tensor::InsertSliceOp::create(c.builder, c.loc, bins, all,
                                          c.sizesOf(start), c.sizesOf(extents),
                                          c.sizesOf(Shape(5, 1)));
    }
    return c.tensor(all, type, shape);
  }
};
} // namespace

Tensor fulgur::onnx::transformByPasses(const Core &c, const Tensor &input,
                                       ArrayRef<int64_t> radices, bool inverse,
                                       double scale) {
  Extent rows = input.shape[0];
  int64_t length = *input.shape[1].constant(), before = 1;
  Tensor x = input;
  // The inverse is the transform of the numbers with their parts exchanged.
  Layout from{true, inverse, *c.sizes.atoms.simplify(x.shape[2]).constant()};
  for (auto [number, radix] : llvm::enumerate(radices)) {
    int64_t behind = length / before / radix;
    bool last = number + 1 == radices.size();
    Layout to{last, last && inverse};
    x = RadixPass{c, from, to, before, radix, behind, last ? scale : 1}.run(x);
    from = to;
    before *= radix;
  }
  return c.reshape(x, {rows, before, length / before, 2});
}
