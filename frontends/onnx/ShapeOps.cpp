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
  if (s.has("value_string"))
    return stringConstant(c, {s.text("value_string", "").str()}, {});
  if (s.has("value_strings")) {
    std::vector<std::string> strings = s.strings("value_strings");
    return stringConstant(c, strings, {int64_t(strings.size())});
  }
  c.fail("has no value");
}

Tensor importConstantOfShape(const Core &c, const Site &s) {
  Tensor value = s.has("value") ? s.tensor("value") : c.scalar(DType::f32, 0);
  if (!value.known() || value.known()->size() != 1)
    c.fail("attribute 'value' must hold one element");
  return c.broadcastTo(c.reshape(value, {}), s.sizes(0));
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

/// A range whose length is known only while running, at most what it indexes.
Tensor runtimeRange(const Core &c, const Site &s, const Extent &bound,
                    int64_t step) {
  Body here = c.body(&c.builder);
  auto scalar = [&](Value value) {
    return Scalar{&here, DType::index, value, std::nullopt};
  };
  Scalar distance = scalar(scalarIndex(c, s[1])) - scalar(scalarIndex(c, s[0]));
  Scalar count =
      maximum((distance + double(step - 1)) / double(step), distance.like(0));
  Extent size = c.sizes.runtime(s.result(), count.emit(), bound,
                                "the range '" + s.result() +
                                    "' has more elements than what it indexes",
                                c.loc);
  return c.generate({size}, s[0].type, {s[0], s[2]},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return v[0] + convert(at[0], v[0].type) * v[1];
                    });
}

/// How many elements a range of integers has.
Extent integerCount(const Core &c, const Extent &start, const Extent &limit,
                    const Extent &delta) {
  Atoms &atoms = c.sizes.atoms;
  if (delta.is(0))
    c.fail("the step of a range must not be 0");
  Extent down = atoms.less(delta, 0);
  Extent distance =
      atoms.simplify(atoms.select(down, start - limit, limit - start));
  Extent step = atoms.select(down, Extent(-1) * delta, delta);
  c.sizes.requireAtLeast(step, 1, "the step of a range must not be 0", c.loc);
  return atoms.max(atoms.ceilDiv(distance, step), 0);
}

/// How many elements a range of floating-point numbers has.
Extent realCount(const Core &c, const Site &s) {
  auto count = [](const Scalar &start, const Scalar &limit,
                  const Scalar &delta) {
    return ceil((limit - start) / delta);
  };
  Tensor numbers[3];
  bool known = true;
  for (int k = 0; k < 3; ++k) {
    numbers[k] = c.cast(c.reshape(s[k], {}), DType::f64);
    known &= numbers[k].known() != nullptr;
  }
  Tensor steps = c.map(numbers, DType::f64, [&](ArrayRef<Scalar> v) {
    return count(v[0], v[1], v[2]);
  });
  if (known) {
    double number = steps.known()->front().real;
    if (!(number < 1e15))
      c.fail("the range has no end");
    return std::max<int64_t>(int64_t(number), 0);
  }
  // What is absurd stays so: a NaN, too, becomes a size that nothing has.
  Tensor whole = c.map({steps}, DType::i64, [](ArrayRef<Scalar> v) {
    Scalar limit = v[0].like(1e15);
    return convert(select(v[0] < limit, maximum(v[0], v[0].like(0)), limit),
                   DType::i64);
  });
  Extent size = c.dataExtents(whole, s.nameOf(s[0].known() ? 1 : 0)).front();
  c.requireSize(size, "the length of the range");
  return size;
}

/// start, start + delta, ... below limit.
Tensor importRange(const Core &c, const Site &s) {
  bool known = true;
  for (int k = 0; k < 3; ++k) {
    if (s[k].type != s[0].type)
      c.fail("inputs are of types " + name(s[0].type) + " and " +
             name(s[k].type));
    if (!product(s[k].shape).is(1))
      c.fail("input " + Twine(k) + " is not a scalar");
    known &= s[k].known() != nullptr;
  }
  DType type = s[0].type;
  Extent count;
  if (isReal(type)) {
    count = realCount(c, s);
  } else {
    std::optional<Extent> bound = known ? std::nullopt : s.indexedSize();
    std::optional<int64_t> step;
    if (s[2].known())
      step = s[2].known()->front().integer.constant();
    if (bound && step && *step >= 1)
      return runtimeRange(c, s, *bound, *step);
    count = integerCount(c, s.extents(0).front(), s.extents(1).front(),
                         s.extents(2).front());
  }
  if (std::optional<int64_t> constant = count.constant();
      constant && *constant <= knownLimit(type)) {
    Element start = s[0].known()->front(), delta = s[2].known()->front();
    Elements elements;
    for (int64_t k = 0; k < *constant; ++k)
      elements.push_back(
          {start.integer + delta.integer * k, start.real + delta.real * k});
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
