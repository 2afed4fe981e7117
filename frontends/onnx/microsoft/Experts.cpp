// Mixtures of experts: each token goes through the few networks that a router
// picks for it, and only those are computed for it.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/Sort.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using mlir::Value;

namespace {
/// The weight that each token [tokens] gives each expert [experts]: the
/// router's probability where the expert is among the `k` most probable, else
/// 0.
Tensor routing(const Core &c, const Tensor &router, int64_t k,
               bool normalized) {
  DType type = DType::f32;
  Tensor probability = softmax(c, c.cast(router, type), 1);
  // How many experts come before each; of equal ones, the later comes first.
  Tensor mine = c.unsqueeze(probability, {2}),
         other = c.unsqueeze(probability, {1});
  Extent tokens = router.shape[0], experts = router.shape[1];
  Tensor before = c.generate(
      {tokens, experts, experts}, DType::i32, {mine, other},
      [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return convert((v[0] < v[1]) | (equal(v[0], v[1]) & (at[1] < at[2])),
                       DType::i32);
      });
  Tensor weight = c.map({c.sum(before, {2}, false), probability}, type,
                        [&](ArrayRef<Scalar> v) {
                          return select(v[0] < double(k), v[1], v[1].like(0));
                        });
  return normalized ? c.div(weight, c.sum(weight, {1}, true)) : weight;
}

/// The tokens whose weight for one expert is not 0.
struct Routed {
  Tensor tokens; ///< [count] i64
  Tensor place;  ///< [all tokens] i64: where a token is among them
};

Routed routedTo(const Core &c, const Site &s, const Tensor &weight,
                int64_t expert) {
  Extent all = weight.shape[0];
  Value weights = c.value(weight);
  Value zero = c.value(c.fill({1}, DType::i64, 0));
  SmallVector<Value> found = c.loop(
      {all}, {c.empty({all}, DType::i64), c.empty({all}, DType::i64), zero},
      [&](Body &body, ArrayRef<Scalar> at,
          mlir::ValueRange state) -> SmallVector<Value> {
        Scalar first = at[0].like(0);
        Scalar next = c.extract(body, state[2], DType::i64, {first});
        Scalar token = convert(at[0], DType::i64);
        Scalar isRouted =
            c.extract(body, weights, weight.type, {at[0], first}) > 0;
        // A token that is not routed is overwritten by the next one.
        Value tokens = store(c, body, token, DType::i64, state[0], {next});
        Value places = store(c, body, next, DType::i64, state[1], {at[0]});
        Scalar moved = next + convert(isRouted, DType::i64);
        return {tokens, places,
                store(c, body, moved, DType::i64, state[2], {first})};
      });
  Body here = c.body(&c.builder);
  Scalar count = c.extract(here, found[2], DType::i64,
                           {Scalar::constant(here, DType::index, 0)});
  Extent rows = c.sizes.runtime(
      s.result().str() + ".expert" + std::to_string(expert),
      convert(count, DType::index).emit(), all,
      "more tokens are routed to an expert than there are", c.loc);
  return {c.slice(c.tensor(found[0], DType::i64, {all}), 0, 0, rows),
          c.tensor(found[1], DType::i64, {all})};
}

/// x · wᵀ + b with the weights [experts, out, in] of one expert.
Tensor layer(const Core &c, const Tensor &x, const Tensor &weights,
             const Tensor &bias, int64_t expert) {
  auto own = [&](const Tensor &all) {
    Shape shape(ArrayRef(all.shape).drop_front());
    return c.reshape(c.slice(all, 0, expert, 1), shape);
  };
  Tensor y = c.matmul2d(x, own(weights), true);
  return bias ? c.add(y, own(bias)) : y;
}

/// g · σ(α·g) · (l + β), clamped (Shazeer, GLU variants, 2020).
Tensor swiglu(const Core &c, const Site &s, const Tensor &gate,
              const Tensor &linear) {
  double alpha = s.real("activation_alpha", 1),
         beta = s.real("activation_beta", 0), limit = s.real("swiglu_limit", 0);
  bool clamps = s.has("swiglu_limit");
  return c.map({gate, linear}, gate.type, [&](ArrayRef<Scalar> v) {
    Scalar g = v[0], l = v[1];
    if (clamps) {
      g = minimum(g, g.like(limit));
      l = maximum(minimum(l, l.like(limit)), l.like(-limit));
    }
    return g * sigmoid(g * alpha) * (l + beta);
  });
}

Scalar activated(const Core &c, StringRef name, const Scalar &x) {
  if (name == "relu")
    return maximum(x, x.like(0));
  if (name == "gelu")
    return geluByTanh(x);
  if (name == "silu")
    return x * sigmoid(x);
  if (name == "identity")
    return x;
  c.unsupported("the activation '" + name + "' of experts is not supported");
}

/// What comes between the first and the last layer.
Tensor middle(const Core &c, const Site &s, const Tensor &x, int64_t expert) {
  StringRef name = s.text("activation_type", "relu");
  Tensor first = layer(c, x, s[2], s[3], expert);
  if (name != "swiglu") {
    if (!s[6])
      return c.map(first,
                   [&](const Scalar &v) { return activated(c, name, v); });
    return c.map(
        {first, layer(c, x, s[6], s[7], expert)}, first.type,
        [&](ArrayRef<Scalar> v) { return activated(c, name, v[0]) * v[1]; });
  }
  int64_t fusion = s.integer("swiglu_fusion", 0);
  if (fusion == 0) {
    if (!s[6])
      c.fail("swiglu that is not fused needs the weights of a third layer");
    return swiglu(c, s, first, layer(c, x, s[6], s[7], expert));
  }
  std::optional<Extent> width = first.shape[1].divideExactly(2);
  if (!width)
    c.fail("the first layer's results of shape " + c.text(first.shape) +
           " are not gates and numbers to be gated");
  if (fusion == 2)
    return swiglu(c, s, c.slice(first, 1, 0, *width),
                  c.slice(first, 1, *width, *width));
  Shape half{first.shape[0], *width};
  return swiglu(c, s, c.slice(first, {0, 0}, half, {1, 2}),
                c.slice(first, {0, 1}, half, {1, 2}));
}

Tensor importExperts(const Core &c, const Site &s) {
  Tensor x = s[0], router = s[1];
  int64_t k = s.integer("k", 1);
  std::optional<int64_t> experts =
      router.rank() == 2 ? router.shape[1].constant() : std::nullopt;
  if (x.rank() < 2 || !experts || k < 1 || k > *experts)
    c.fail("input and router have the shapes " + c.text(x.shape) + " and " +
           c.text(router.shape) + ", of whose experts " + Twine(k) +
           " are to be picked");
  if (s[2].rank() != 3 || s[4].rank() != 3 || !s[2].shape[0].is(*experts) ||
      !s[4].shape[0].is(*experts))
    c.fail("weights of shapes " + c.text(s[2].shape) + " and " +
           c.text(s[4].shape) + " are not those of " + Twine(*experts) +
           " experts");
  if (s.integer("use_sparse_mixer", 0))
    c.unsupported("the sparse mixer is not supported; export the model with "
                  "plain top-k routing");
  Extent width = x.shape.back(),
         tokens = product(ArrayRef(x.shape).drop_back());
  c.requireEqual(tokens, router.shape[0]);
  Tensor rows = c.reshape(x, {tokens, width}),
         weights =
             routing(c, router, k, s.integer("normalize_routing_weights", 0));
  Tensor total = c.fill({tokens, width}, DType::f32, 0);
  Value table = c.value(rows);
  for (int64_t expert = 0; expert < *experts; ++expert) {
    Tensor weight = c.slice(weights, 1, expert, 1);
    Routed routed = routedTo(c, s, weight, expert);
    Extent count = routed.tokens.shape[0];
    Tensor own =
        c.generate({count, width}, x.type, {c.unsqueeze(routed.tokens, {1})},
                   [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     return c.extract(body, table, x.type, {v[0], at[1]});
                   });
    Tensor y = layer(c, middle(c, s, own, expert), s[4], s[5], expert);
    Value results = c.value(y);
    total = c.generate(
        {tokens, width}, DType::f32,
        {total, weight, c.unsqueeze(routed.place, {1})},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          Scalar most = Scalar::extent(body, DType::index, count) - 1;
          Scalar row =
              maximum(minimum(convert(v[2], DType::index), most), most.like(0));
          Scalar part = convert(c.extract(body, results, x.type, {row, at[1]}),
                                DType::f32);
          return select(v[1] > 0, v[0] + part * v[1], v[0]);
        });
  }
  return c.reshape(c.cast(total, x.type), x.shape);
}
} // namespace

void microsoft::experts(Extensions &ops) {
  ops.add("MoE <activation_alpha: float = 1, activation_beta: float = 0, "
          "activation_type: string = relu, k: int = 1, "
          "normalize_routing_weights: int = 0, swiglu_fusion: int = 0, "
          "swiglu_limit: float?, use_sparse_mixer: int = 0> (T input, "
          "T router_probs, T fc1_experts_weights, T? fc1_experts_bias, "
          "T fc2_experts_weights, T? fc2_experts_bias, "
          "T? fc3_experts_weights, T? fc3_experts_bias) "
          "=> (T output like input)",
          importExperts);
}
