// Residual streams in several branches (Zhu et al., Hyper-Connections, 2024),
// and what else of that family of models is one operator.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
/// [..., branches · width] as [..., branches, width]; the attribute
/// 'num_branches' says whether the operand needs it.
Tensor grouped(const Core &c, const Site &s, const Tensor &x) {
  int64_t branches = s.integer("num_branches", 0);
  if (branches <= 0) {
    if (x.rank() < 2)
      c.fail("streams of shape " + c.text(x.shape) +
             " are not of rank 2 or more");
    return x;
  }
  std::optional<Extent> width =
      x.rank() ? x.shape.back().divideExactly(branches) : std::nullopt;
  if (!width)
    c.fail("the last dim of streams of shape " + c.text(x.shape) +
           " is not divisible by " + Twine(branches));
  Shape shape(ArrayRef(x.shape).drop_back());
  shape.append({branches, *width});
  return c.reshape(x, shape);
}

/// Gates of branches [..., branches], of branches and features [..., branches,
/// width or 1], or of both in one dim, so that they broadcast to streams.
Tensor gates(const Core &c, const Tensor &given, const Tensor &streams) {
  Tensor gate = c.cast(given, computeType(streams.type));
  if (gate.rank() == streams.rank())
    return gate;
  if (gate.rank() + 1 != streams.rank())
    c.fail("gates of shape " + c.text(gate.shape) +
           " do not fit streams of shape " + c.text(streams.shape));
  Extent branches = streams.shape[streams.rank() - 2];
  return c.sizes.atoms.knownEqual(gate.shape.back(), branches)
             ? c.unsqueeze(gate, {gate.rank()})
             : c.reshape(gate, streams.shape);
}

/// The branches' sum, weighted by gates.
Tensor importPreMix(const Core &c, const Site &s) {
  Tensor x = grouped(c, s, s[0]);
  Tensor product = c.map({x, gates(c, s[1], x)}, computeType(x.type),
                         [](ArrayRef<Scalar> v) { return v[0] * v[1]; });
  Tensor sum = c.mul(c.sum(product, {x.rank() - 2}, false),
                     s.real("reduction_scale", 1));
  return c.cast(sum, x.type);
}

/// Streams mixed with each other, and a block's result added to each.
Tensor importPostMix(const Core &c, const Site &s) {
  Tensor x = grouped(c, s, s[0]), block = s[1], mixed = x;
  int64_t rank = x.rank();
  if (s[3]) {
    if (s[3].rank() != rank)
      c.fail("a mixing matrix of shape " + c.text(s[3].shape) +
             " does not fit streams of shape " + c.text(x.shape));
    SmallVector<int64_t> order;
    for (int64_t k = 0; k < rank; ++k)
      order.push_back(k);
    std::swap(order[rank - 2], order[rank - 1]);
    mixed = c.matmul(c.cast(c.transpose(s[3], order), computeType(x.type)),
                     c.cast(x, computeType(x.type)));
  }
  Tensor y =
      c.map({mixed, gates(c, s[2], x), c.unsqueeze(block, {block.rank() - 1})},
            x.type, [](ArrayRef<Scalar> v) { return v[0] + v[1] * v[2]; });
  return c.reshape(y, s[0].shape);
}

/// Each branch normalised by itself.
Tensor importBranchNorm(const Core &c, const Site &s) {
  Tensor x = grouped(c, s, s[0]);
  int64_t last = x.rank() - 1;
  DType type = computeType(x.type);
  Tensor y = rmsNorm(c, c.cast(x, type), c.fill({x.shape[last]}, type, 1), last,
                     s.real("epsilon", 1e-5f));
  if (s[1]) {
    Tensor scale = c.cast(s[1], type);
    if (scale.rank() == 1 &&
        !c.sizes.atoms.knownEqual(scale.shape[0], x.shape[last]))
      scale = c.reshape(scale, {x.shape[last - 1], x.shape[last]});
    y = c.mul(y, scale);
  }
  return c.cast(c.reshape(y, s[0].shape), x.type);
}

/// σ(sign(d) · √|d|) · value, where d is the product of the normalised keys and
/// queries; and that normalised.
SmallVector<Tensor> importEngramGate(const Core &c, const Site &s) {
  Tensor key = s[0], query = s[1], value = s[2];
  if (key.rank() != 4 || value.rank() != 3)
    c.fail("keys and values have the shapes " + c.text(key.shape) + " and " +
           c.text(value.shape) + ", which are not of the ranks 4 and 3");
  DType type = computeType(key.type);
  double epsilon = s.real("epsilon", 1e-5f);
  const Extent &width = key.shape[3];
  std::optional<int64_t> size = width.constant();
  if (!size)
    c.unsupported("the hidden size is not a constant; export the model with a "
                  "fixed one");
  Tensor ones = c.fill({width}, type, 1);
  auto normal = [&](const Tensor &x, const Tensor &scale) {
    return c.mul(rmsNorm(c, c.cast(x, type), ones, 3, epsilon),
                 c.cast(scale, type));
  };
  Tensor product = c.mul(normal(key, s[3]), normal(query, s[4]));
  double root = std::sqrt(double(*size));
  Tensor gate = c.map(c.sum(product, {3}, true), [&](const Scalar &x) {
    Scalar dot = x / root;
    Scalar strength = sqrt(maximum(abs(dot), dot.like(1e-6)));
    Scalar sign = select(dot > 0, dot.like(1),
                         select(dot < 0, dot.like(-1), dot.like(0)));
    return sigmoid(sign * strength);
  });
  Tensor y = c.mul(gate, c.unsqueeze(c.cast(value, type), {2}));
  SmallVector<Tensor> results{c.cast(y, key.type)};
  if (s.wants(1)) {
    if (!s[5])
      c.fail("the normalised result needs the scale of input 5");
    results.push_back(c.cast(normal(y, s[5]), key.type));
  }
  return results;
}

/// z · σ(z) of z = scale · x, each rounded to the type.
Tensor importScaledSiLU(const Core &c, const Site &s) {
  Tensor x = s[0];
  Tensor scale = s[1] ? c.cast(c.reshape(s[1], {}), computeType(x.type))
                      : c.scalar(computeType(x.type), s.real("alpha", 1));
  Tensor z =
      c.map({x, scale}, x.type, [](ArrayRef<Scalar> v) { return v[0] * v[1]; });
  return c.mul(z, c.map(z, sigmoid));
}
} // namespace

void microsoft::hyperConnections(Extensions &ops) {
  ops.add("HyperConnectionPreMix <num_branches: int = 0, "
          "reduction_scale: float = 1> (T streams, M pre_mix) => (T output)",
          importPreMix);
  ops.add("HyperConnectionPostMix <num_branches: int = 0> (T streams, "
          "T block_output, M post_mix, M? stream_mix) "
          "=> (T output like streams)",
          importPostMix);
  ops.add("BranchwiseRMSNorm <epsilon: float = 1e-5, num_branches: int = 0> "
          "(T X, M? scale) => (T Y like X)",
          importBranchNorm);
  ops.add("EngramGate <epsilon: float = 1e-5> (T key, T query, T value, "
          "T key_norm_scale, T query_norm_scale, T? conv_norm_scale) "
          "=> (T output like key, T? gated_value_normed like key)",
          importEngramGate);
  ops.add("ScaledSiLU <alpha: float = 1> (T X, M? scale) => (T Y like X)",
          importScaledSiLU);
}
