// Random numbers, each a function of the node's key and its own position:
// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As
// Easy as 1, 2, 3, 2011). So they are the same in every run, in any order and
// for every number of threads.
#include "frontends/onnx/Core.h"
#include "llvm/Support/xxhash.h"
#include <bit>
#include <cmath>
#include <numbers>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
constexpr uint64_t kWord = 0xFFFFFFFF;

/// 64 bits that pick the sequence: the node's seed, or without one its name, so
/// that two nodes differ and a model compiled twice does not.
uint64_t keyOf(const Site &s) {
  if (s.has("seed") && s.op() == "Dropout") // the one whose seed is an integer
    return uint64_t(s.integer("seed", 0));
  if (s.has("seed"))
    return std::bit_cast<uint32_t>(float(s.real("seed", 0)));
  return llvm::xxh3_64bits(s.result());
}

/// Four words of 32 bits, each in a u64, for the position of an element.
SmallVector<Scalar> philox(const Scalar &position, uint64_t key) {
  Body &body = *position.body;
  auto word = [&](uint64_t number) {
    return Scalar::extent(body, DType::u64, int64_t(number));
  };
  Scalar mask = word(kWord), half = word(32);
  Scalar low = position & mask, high = shiftRight(position, half),
         zero = word(0);
  SmallVector<Scalar> counter{low, high, zero, zero};
  uint64_t first = key & kWord, second = key >> 32;
  for (int round = 0; round < 10; ++round) {
    Scalar a = counter[0] * word(0xD2511F53), b = counter[2] * word(0xCD9E8D57);
    counter = {shiftRight(b, half) ^ counter[1] ^ word(first), b & mask,
               shiftRight(a, half) ^ counter[3] ^ word(second), a & mask};
    first = (first + 0x9E3779B9) & kWord;
    second = (second + 0xBB67AE85) & kWord;
  }
  return counter;
}

/// In [0, 1), with as many bits as the type has.
Scalar uniform(ArrayRef<Scalar> words, DType type) {
  auto bits = [&](const Scalar &word, int64_t drop) {
    return convert(
        shiftRight(word, Scalar::extent(*word.body, DType::u64, drop)), type);
  };
  if (type == DType::f64)
    return (bits(words[0], 5) * 67108864.0 + bits(words[1], 6)) *
           std::ldexp(1, -53);
  return bits(words[0], 8) * std::ldexp(1, -24);
}

/// Normally distributed with mean 0 and deviation 1 (Box and Muller, 1958).
Scalar normal(ArrayRef<Scalar> words, DType type) {
  Scalar radius = sqrt(log(1.0 - uniform(words.take_front(2), type)) * -2.0);
  return radius *
         cos(uniform(words.drop_front(2), type) * (2 * std::numbers::pi));
}

/// The number of an element in row-major order.
Scalar positionOf(Body &body, ArrayRef<Extent> shape, ArrayRef<Scalar> at) {
  Scalar position = Scalar::extent(body, DType::index, 0);
  for (auto [size, index] : llvm::zip(shape, at))
    position = position * Scalar::extent(body, DType::index, size) + index;
  return convert(position, DType::u64);
}

using Distribution = Scalar (*)(ArrayRef<Scalar> words, DType type);

/// A tensor of `draw(...) * scale + offset`.
Tensor draw(const Core &c, const Site &s, ArrayRef<Extent> shape, DType type,
            Distribution distribution, double scale, double offset) {
  if (!isReal(type))
    c.fail("random numbers of type " + name(type) + " are not defined");
  DType compute = type == DType::f64 ? DType::f64 : DType::f32;
  uint64_t key = keyOf(s);
  return c.generate(
      shape, type, {}, [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        SmallVector<Scalar> words = philox(positionOf(body, shape, at), key);
        return distribution(words, compute) * scale + offset;
      });
}

Shape shapeAttribute(const Site &s) {
  SmallVector<int64_t> sizes = s.integers("shape");
  return Shape(sizes.begin(), sizes.end());
}
/// The type of a result that is like an operand: that of the operand where it
/// can be.
DType typeLike(const Site &s) {
  return s.dtype("dtype", isReal(s[0].type) ? s[0].type : DType::f32);
}

Tensor uniformOf(const Core &c, const Site &s, ArrayRef<Extent> shape,
                 DType type) {
  double low = s.real("low", 0), high = s.real("high", 1);
  return draw(c, s, shape, type, uniform, high - low, low);
}
Tensor normalOf(const Core &c, const Site &s, ArrayRef<Extent> shape,
                DType type) {
  return draw(c, s, shape, type, normal, s.real("scale", 1), s.real("mean", 0));
}

Tensor importRandomUniform(const Core &c, const Site &s) {
  return uniformOf(c, s, shapeAttribute(s), s.dtype("dtype", DType::f32));
}
Tensor importRandomUniformLike(const Core &c, const Site &s) {
  return uniformOf(c, s, s[0].shape, typeLike(s));
}
Tensor importRandomNormal(const Core &c, const Site &s) {
  return normalOf(c, s, shapeAttribute(s), s.dtype("dtype", DType::f32));
}
Tensor importRandomNormalLike(const Core &c, const Site &s) {
  return normalOf(c, s, s[0].shape, typeLike(s));
}

/// 1 with the probability that the element is.
Tensor importBernoulli(const Core &c, const Site &s) {
  Tensor x = s[0];
  c.requireType(x, isReal(x.type), "floating point");
  DType type = s.dtype("dtype", x.type);
  DType compute = x.type == DType::f64 ? DType::f64 : DType::f32;
  uint64_t key = keyOf(s);
  return c.generate(x.shape, type, {x},
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> words =
                          philox(positionOf(body, x.shape, at), key);
                      return convert(uniform(words, compute) < v[0], type);
                    });
}

/// Classes picked by their unnormalised logarithms of probabilities: the first
/// one at which the running total passes a random share of the whole.
Tensor importMultinomial(const Core &c, const Site &s) {
  Tensor x = s[0];
  c.requireType(x, isReal(x.type), "floating point");
  if (x.rank() != 2)
    c.fail("needs a tensor of rank 2, not of shape " + c.text(x.shape));
  DType type = s.dtype("dtype", DType::i32);
  if (type != DType::i32 && type != DType::i64)
    c.fail("the result must be int32 or int64, not " + name(type));
  DType compute = x.type == DType::f64 ? DType::f64 : DType::f32;
  x = c.cast(x, compute);
  Extent samples = s.integer("sample_size", 1), classes = x.shape[1];
  Tensor weights = c.map({x, c.max(x, {1}, true)}, compute,
                         [](ArrayRef<Scalar> v) { return exp(v[0] - v[1]); });
  Value table = c.value(weights);
  Value totals = c.loop(
      x.shape, {c.empty(x.shape, compute)},
      [&](Body &body, ArrayRef<Scalar> at,
          ValueRange carried) -> SmallVector<Value> {
        Scalar before = maximum(at[1] - 1, at[1].like(0));
        Scalar total = c.extract(body, carried[0], compute, {at[0], before});
        total = select(equal(at[1], at[1].like(0)), total.like(0), total) +
                c.extract(body, table, compute, at);
        return {tensor::InsertOp::create(*body.builder, c.loc, total.emit(),
                                         carried[0],
                                         {at[0].emit(), at[1].emit()})};
      })[0];
  Shape picks{x.shape[0], samples};
  uint64_t key = keyOf(s);
  Tensor shares = c.generate(
      picks, compute, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Scalar last = Scalar::extent(body, DType::index, classes - 1);
        return uniform(philox(positionOf(body, picks, at), key), compute) *
               c.extract(body, totals, compute, {at[0], last});
      });
  // How many running totals are not above the share.
  Tensor passed = c.generate(
      {x.shape[0], samples, classes}, type, {c.unsqueeze(shares, {2})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return convert(c.extract(body, totals, compute, {at[0], at[2]}) <= v[0],
                       type);
      });
  return c.map(c.sum(passed, {2}, false), [&](const Scalar &count) {
    return minimum(count, Scalar::extent(*count.body, type, classes - 1));
  });
}

/// In training mode each element is dropped with the probability `ratio`, the
/// others are scaled so that the mean stays. Otherwise nothing is dropped.
SmallVector<Tensor> importDropout(const Core &c, const Site &s) {
  Tensor x = s[0];
  bool mayDrop = s[2] && !(s[2].known() && s[2].known()->front().integer.is(0));
  if (!mayDrop) {
    if (!s.wants(1))
      return {x};
    return {x, c.broadcastTo(c.scalar(DType::boolean, 1), x.shape)};
  }
  c.requireType(s[2], s[2].type == DType::boolean, "bool");
  DType compute = x.type == DType::f64 ? DType::f64 : DType::f32;
  Tensor ratio = s[1] ? c.cast(c.reshape(s[1], {}), compute)
                      : c.scalar(compute, 0.5),
         training = c.reshape(s[2], {});
  uint64_t key = keyOf(s);
  Tensor mask =
      c.generate(x.shape, DType::boolean, {ratio, training},
                 [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                   SmallVector<Scalar> words =
                       philox(positionOf(body, x.shape, at), key);
                   return (uniform(words, compute) >= v[0]) | ~v[1];
                 });
  Tensor y = c.map({x, mask, ratio, training}, x.type, [&](ArrayRef<Scalar> v) {
    Scalar scaled = convert(v[0], compute) / (1.0 - v[2]);
    return select(
        v[3], convert(select(v[1], scaled, scaled.like(0)), v[0].type), v[0]);
  });
  return {y, mask};
}
} // namespace

void fulgur::onnx::registerRandom(OpTable &ops) {
  ops["Bernoulli"] = importBernoulli;
  ops["Dropout"] = importDropout;
  ops["Multinomial"] = importMultinomial;
  ops["RandomNormal"] = {importRandomNormal, 0};
  ops["RandomNormalLike"] = importRandomNormalLike;
  ops["RandomUniform"] = {importRandomUniform, 0};
  ops["RandomUniformLike"] = importRandomUniformLike;
}
