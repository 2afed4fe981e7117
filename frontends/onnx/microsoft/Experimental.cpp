// Operators that ONNX had on trial and dropped before its first version, and
// that ONNX Runtime still runs: converters of those days wrote them.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
Tensor importAffine(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1), beta = s.real("beta", 0);
  return c.map(s[0], [&](const Scalar &x) { return x * alpha + beta; });
}

Tensor importParametricSoftplus(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1), beta = s.real("beta", 1);
  return c.map(s[0],
               [&](const Scalar &x) { return softplus(x * beta) * alpha; });
}

Tensor importScaledTanh(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1), beta = s.real("beta", 1);
  return c.map(s[0], [&](const Scalar &x) { return tanh(x * beta) * alpha; });
}

Tensor importScale(const Core &c, const Site &s) {
  return c.mul(s[0], s.real("scale", 1));
}

void requireImages(const Core &c, const Tensor &x) {
  if (x.rank() != 4)
    c.fail("needs images of rank 4, not a tensor of shape " + c.text(x.shape));
}

/// Numbers are scaled, and those of each channel get its bias.
Tensor importImageScaler(const Core &c, const Site &s) {
  Tensor x = s[0];
  requireImages(c, x);
  std::vector<double> numbers = s.numbers("bias");
  c.requireEqual(x.shape[1], int64_t(numbers.size()));
  Elements elements;
  for (double number : numbers)
    elements.push_back({0, number});
  Tensor bias(std::move(elements), x.type, {int64_t(numbers.size()), 1, 1});
  return c.add(c.mul(x, s.real("scale", 1)), bias);
}

/// What is inside of a border: of the left, top, right and bottom, or from the
/// left and top one on and as large as 'scale' says.
Tensor importCrop(const Core &c, const Site &s) {
  Tensor x = s[0];
  requireImages(c, x);
  SmallVector<int64_t> border = s.integers("border"),
                       size = s.integers("scale");
  if (border.size() != 4 || (!size.empty() && size.size() != 2))
    c.fail("'border' has " + Twine(border.size()) + " and 'scale' " +
           Twine(size.size()) + " numbers, not 4 and 2 or none");
  for (int64_t k = 0; k < 2; ++k) {
    int64_t before = border[1 - k], behind = border[3 - k];
    Extent all = x.shape[2 + k];
    Extent count = size.empty() ? all - before - behind : Extent(size[k]);
    if (before < 0 || behind < 0)
      c.fail("a border is negative");
    c.sizes.requireAtLeast(
        size.empty() ? count : all - before, size.empty() ? Extent(0) : count,
        "'" + c.sizes.atoms.text(all) + "' elements must hold the borders",
        c.loc);
    x = c.slice(x, 2 + k, before, count);
  }
  return x;
}
} // namespace

void microsoft::experimental(Extensions &ops) {
  ops.add("Affine <alpha: float = 1, beta: float = 0> (T X) => (T Y like X)",
          importAffine);
  ops.add("ParametricSoftplus <alpha: float?, beta: float?> (T X) "
          "=> (T Y like X)",
          importParametricSoftplus);
  ops.add("ScaledTanh <alpha: float?, beta: float?> (T input) "
          "=> (T output like input)",
          importScaledTanh);
  ops.add("Scale <scale: float = 1> (T input) => (T output like input)",
          importScale);
  ops.add("ImageScaler <bias: floats, scale: float = 1> (T input) "
          "=> (T output like input)",
          importImageScaler);
  ops.add("Crop <border: ints, scale: ints?> (T input) => (T output)",
          importCrop);
  ops.expand("DynamicSlice (T data, I starts, I ends, I? axes) => (T output) "
             "where I: int32|int64, T: float|double|float16|bfloat16|int8|"
             "int16|int32|int64|uint8|uint16|uint32|uint64|bool|string",
             "output = Slice(data, starts, ends, axes)");
  ops.stray({"Affine", "ParametricSoftplus", "ScaledTanh", "Scale",
             "ImageScaler", "Crop", "DynamicSlice"});
}
