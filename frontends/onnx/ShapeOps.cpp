// Ops that make tensors out of attributes and shapes. What they compute is
// known while importing as far as shapes are.
#include "frontends/onnx/Core.h"
#include <cmath>

using namespace fulgur::onnx;

namespace {
/// Sizes of the dims from `start` to `end`, both counted as Python counts.
Tensor importShape(const Core &c, const Site &s) {
  int64_t rank = s[0].rank();
  auto clamp = [&](int64_t k) {
    return std::min(std::max<int64_t>(k < 0 ? k + rank : k, 0), rank);
  };
  int64_t start = clamp(s.integer("start", 0)),
          end = std::max(clamp(s.integer("end", rank)), start);
  return c.vector(ArrayRef(s[0].shape).slice(start, end - start));
}

Tensor importSize(const Core &c, const Site &s) {
  return c.reshape(c.vector(product(s[0].shape)), {});
}

Tensor importConstant(const Core &c, const Site &s) {
  auto list = [](auto numbers, DType type) {
    Elements elements;
    for (auto number : numbers)
      elements.push_back(type == DType::i64 ? Element{int64_t(number)}
                                            : Element{0, double(number)});
    return elements;
  };
  if (s.has("value"))
    return s.tensor("value");
  if (s.has("value_int"))
    return Tensor(
        list(SmallVector<int64_t>{s.integer("value_int", 0)}, DType::i64),
        DType::i64, {});
  if (s.has("value_float"))
    return Tensor(
        list(SmallVector<double>{s.real("value_float", 0)}, DType::f32),
        DType::f32, {});
  if (s.has("value_ints")) {
    SmallVector<int64_t> numbers = s.integers("value_ints");
    return Tensor(list(numbers, DType::i64), DType::i64,
                  {int64_t(numbers.size())});
  }
  if (s.has("value_floats")) {
    SmallVector<double> numbers = s.reals("value_floats");
    return Tensor(list(numbers, DType::f32), DType::f32,
                  {int64_t(numbers.size())});
  }
  c.unsupported("constants of strings and sparse constants are not supported");
}

Tensor importConstantOfShape(const Core &c, const Site &s) {
  Tensor value = s.has("value") ? s.tensor("value") : c.scalar(DType::f32, 0);
  if (!value.known() || value.known()->size() != 1)
    c.fail("attribute 'value' must hold one element");
  return c.broadcastTo(c.reshape(value, {}), s.extents(0));
}

/// An integer scalar as an index: an extent, or an element that is read while
/// running.
Value scalarIndex(const Core &c, const Tensor &x) {
  if (x.known())
    return c.index(x.known()->front().integer);
  Body here = c.body(&c.builder);
  return convert(c.extract(here, c.value(c.reshape(x, {})), x.type, {}),
                 DType::index)
      .emit();
}

/// A range whose length is known only while running. What it indexes bounds it.
Tensor runtimeRange(const Core &c, const Site &s) {
  std::optional<Extent> bound = s.indexedSize(), step;
  if (s[2].known() && isInteger(s[2].type))
    step = s[2].known()->front().integer;
  if (!bound || !step || !step->constant() || *step->constant() < 1) {
    size_t k = s[0].known() ? 1 : 0;
    c.unsupported("the length of the range depends on data: input '" +
                  s.nameOf(k) + "' is not known before a run");
  }
  Body here = c.body(&c.builder);
  auto scalar = [&](Value value) {
    return Scalar{&here, DType::index, value, std::nullopt};
  };
  Scalar distance = scalar(scalarIndex(c, s[1])) - scalar(scalarIndex(c, s[0]));
  Scalar count = maximum((distance + double(*step->constant() - 1)) /
                             double(*step->constant()),
                         distance.like(0));
  Extent size = c.sizes.runtime(s.result(), count.emit(), *bound,
                                "the range '" + s.result() +
                                    "' has more elements than what it indexes",
                                c.loc);
  return c.generate({size}, s[0].type, {s[0], s[2]},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return v[0] + convert(at[0], v[0].type) * v[1];
                    });
}

/// start, start + delta, ... below limit.
Tensor importRange(const Core &c, const Site &s) {
  Element from[3];
  for (int k = 0; k < 3; ++k) {
    if (s[k].type != s[0].type)
      c.fail("inputs are of types " + name(s[0].type) + " and " +
             name(s[k].type));
    if (!product(s[k].shape).is(1))
      c.fail("input " + Twine(k) + " is not a scalar");
    if (!s[k].known())
      return runtimeRange(c, s);
    from[k] = s[k].known()->front();
  }
  DType type = s[0].type;
  Extent count;
  if (isReal(type)) {
    double steps = std::ceil((from[1].real - from[0].real) / from[2].real);
    if (!(steps < 1e15))
      c.fail("the range has no end");
    count = std::max<int64_t>(int64_t(steps), 0);
  } else {
    Extent start = from[0].integer, limit = from[1].integer,
           delta = from[2].integer;
    if (!delta.constant() || delta.is(0))
      c.fail("the step of a range must be a constant other than 0");
    bool up = *delta.constant() > 0;
    Extent distance = up ? limit - start : start - limit;
    count = c.sizes.atoms.max(
        c.sizes.atoms.ceilDiv(c.sizes.atoms.simplify(distance),
                              up ? delta : Extent(-1) * delta),
        0);
  }
  if (std::optional<int64_t> constant = count.constant();
      constant && *constant <= knownLimit(type)) {
    Elements elements;
    for (int64_t k = 0; k < *constant; ++k)
      elements.push_back({from[0].integer + from[2].integer * k,
                          from[0].real + from[2].real * k});
    return Tensor(std::move(elements), type, {count});
  }
  return c.generate({count}, type, {s[0], s[2]},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return v[0] + convert(at[0], v[0].type) * v[1];
                    });
}

Tensor importEyeLike(const Core &c, const Site &s) {
  if (s[0].rank() != 2)
    c.fail("the input has rank " + Twine(s[0].rank()) + ", not 2");
  double k = s.integer("k", 0);
  DType type = s.dtype("dtype", s[0].type);
  return c.generate(s[0].shape, type, {},
                    [&](Body &, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      return convert(equal(at[0] + k, at[1]), type);
                    });
}

} // namespace

void fulgur::onnx::registerShapeOps(OpTable &ops) {
  ops["Constant"] = {importConstant, 0};
  ops["ConstantOfShape"] = importConstantOfShape;
  ops["EyeLike"] = importEyeLike;
  ops["Range"] = {importRange, 3};
  ops["Shape"] = importShape;
  ops["Size"] = importSize;
}
