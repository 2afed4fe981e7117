// Group normalisation as diffusion models have it: channels behind, a residual
// in front, an activation at the end.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
/// A vector over the channels so that it broadcasts to the input.
Tensor perChannel(const Core &c, const Tensor &v, const Tensor &x, bool last) {
  if (last)
    return v;
  Shape shape(x.rank() - 1, 1);
  shape[0] = x.shape[1];
  return c.reshape(v, shape);
}

Tensor groupNorm(const Core &c, const Site &s, const Tensor &x) {
  bool last = s.integer("channels_last", 1);
  int64_t groups = s.integer("groups", 0), rank = x.rank();
  Extent channels = rank < 3 ? Extent(0) : x.shape[last ? rank - 1 : 1];
  std::optional<Extent> size =
      groups < 1 ? std::nullopt : channels.divideExactly(groups);
  if (rank < 3 || !size)
    c.fail("the channels of a tensor of shape " + c.text(x.shape) +
           " cannot be divided into " + Twine(groups) + " groups");
  Extent places = product(ArrayRef(x.shape).drop_front(last ? 1 : 2));
  Tensor y = c.cast(x, computeType(x.type));
  SmallVector<int64_t> axes;
  if (last) {
    places = product(ArrayRef(x.shape).drop_front(1).drop_back(1));
    y = c.reshape(y, {x.shape[0], places, groups, *size});
    axes = {1, 3};
  } else {
    y = c.reshape(y, {x.shape[0], groups, *size * places});
    axes = {2};
  }
  auto [mean, deviation] = statistics(c, y, axes, s.real("epsilon", 1e-5f));
  Tensor normal =
      c.reshape(c.map({y, mean, deviation}, y.type,
                      [](ArrayRef<Scalar> v) { return (v[0] - v[1]) * v[2]; }),
                x.shape);
  bool silu = s.integer("activation", 0);
  return c.map(
      {normal, perChannel(c, s[1], x, last), perChannel(c, s[2], x, last)},
      x.type, [&](ArrayRef<Scalar> v) {
        Scalar y = v[0] * convert(v[1], v[0].type) + convert(v[2], v[0].type);
        return silu ? y * sigmoid(y) : y;
      });
}

Tensor importGroupNorm(const Core &c, const Site &s) {
  return groupNorm(c, s, s[0]);
}

SmallVector<Tensor> importSkip(const Core &c, const Site &s) {
  Tensor x = s[0], skip = s[3], bias = s[4];
  bool last = s.integer("channels_last", 1);
  if (skip.rank() == 2 && x.rank() == 4)
    skip = c.unsqueeze(skip, last ? ArrayRef<int64_t>{1, 2}
                                  : ArrayRef<int64_t>{2, 3});
  SmallVector<Tensor> parts{x, skip};
  if (bias)
    parts.push_back(perChannel(c, bias, x, last));
  Tensor sum = c.map(parts, x.type, [&](ArrayRef<Scalar> v) {
    return bias ? v[0] + v[1] + v[2] : v[0] + v[1];
  });
  return {groupNorm(c, s, sum), sum};
}
} // namespace

void microsoft::groupNorms(Extensions &ops) {
  ops.add("GroupNorm <activation: int, channels_last: int = 1, "
          "epsilon: float = 1e-5, groups: int> (T X, M gamma, M beta) "
          "=> (T Y like X) where M: float16|float",
          importGroupNorm);
  ops.add("SkipGroupNorm <activation: int, channels_last: int = 1, "
          "epsilon: float = 1e-5, groups: int> (T X, M gamma, M beta, "
          "T skip, T? bias) => (T Y like X, T? S like X) "
          "where M: float16|float",
          importSkip);
}
