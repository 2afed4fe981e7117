// Mixtures of experts: each token goes through the few networks that a router
// picks for it, and only those are computed for it.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/Sort.h"
#include "frontends/onnx/microsoft/BlockQuantized.h"
#include "frontends/onnx/microsoft/Operators.h"
#include <functional>

using namespace fulgur::onnx;
using mlir::Value;

namespace {
using namespace fulgur::onnx::microsoft;

/// The weight that each token [tokens] gives each expert [experts]: `given`, or
/// the router's probability if that is empty, where the expert is among the `k`
/// most probable, else 0.
Tensor routing(const Core &c, const Tensor &router, const Tensor &given,
               int64_t k, bool normalized) {
  DType type = DType::f32;
  Tensor probability = softmax(c, c.cast(router, type), 1);
  Tensor share = given ? c.cast(given, type) : probability;
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
  Tensor weight =
      c.map({c.sum(before, {2}, false), share}, type, [&](ArrayRef<Scalar> v) {
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

/// The part of a tensor [experts, ...] that is one expert's.
Tensor ofExpert(const Core &c, const Tensor &all, int64_t expert) {
  Shape shape(ArrayRef(all.shape).drop_front());
  return c.reshape(c.slice(all, 0, expert, 1), shape);
}

/// A layer of all experts.
struct Layer {
  /// The product of tokens and the transposed weights of one expert.
  std::function<Tensor(const Tensor &x, int64_t expert)> times;
  Tensor bias; ///< [experts, out]; may be empty
  explicit operator bool() const { return bool(times); }
};

/// x · wᵀ + b with the weights of one expert.
Tensor apply(const Core &c, const Tensor &x, const Layer &layer,
             int64_t expert) {
  Tensor y = layer.times(x, expert);
  return layer.bias ? c.add(y, ofExpert(c, layer.bias, expert)) : y;
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

/// The layers of all experts; the third one gates the first and may be missing.
struct Network {
  Layer first, second, third;
};

/// What comes between the first and the last layer.
Tensor middle(const Core &c, const Site &s, const Network &network,
              const Tensor &x, int64_t expert) {
  StringRef name = s.text("activation_type", "relu");
  Tensor first = apply(c, x, network.first, expert);
  if (name != "swiglu") {
    if (!network.third)
      return c.map(first,
                   [&](const Scalar &v) { return activated(c, name, v); });
    return c.map(
        {first, apply(c, x, network.third, expert)}, first.type,
        [&](ArrayRef<Scalar> v) { return activated(c, name, v[0]) * v[1]; });
  }
  int64_t fusion = s.integer("swiglu_fusion", 0);
  if (fusion == 0) {
    if (!network.third)
      c.fail("swiglu that is not fused needs the weights of a third layer");
    return swiglu(c, s, first, apply(c, x, network.third, expert));
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

/// How many experts there are; the input and the router's result must fit.
int64_t expertsOf(const Core &c, const Site &s) {
  Tensor x = s[0], router = s[1];
  int64_t k = s.integer("k", 1);
  std::optional<int64_t> experts =
      router.rank() == 2 ? router.shape[1].constant() : std::nullopt;
  if (x.rank() < 2 || !experts || k < 1 || k > *experts)
    c.fail("input and router have the shapes " + c.text(x.shape) + " and " +
           c.text(router.shape) + ", of whose experts " + Twine(k) +
           " are to be picked");
  if (s.integer("use_sparse_mixer", 0))
    c.unsupported("the sparse mixer is not supported; export the model with "
                  "plain top-k routing");
  return *experts;
}

void requireExperts(const Core &c, const Tensor &weights, int64_t experts) {
  if (weights.rank() != 3 || !weights.shape[0].is(experts))
    c.fail("weights of shape " + c.text(weights.shape) + " are not those of " +
           Twine(experts) + " experts");
}

Tensor mixture(const Core &c, const Site &s, const Network &network,
               int64_t experts, const Tensor &shares) {
  Tensor x = s[0], router = s[1];
  Extent width = x.shape.back(),
         tokens = product(ArrayRef(x.shape).drop_back());
  c.requireEqual(tokens, router.shape[0]);
  Tensor rows = c.reshape(x, {tokens, width}),
         weights = routing(c, router, shares, s.integer("k", 1),
                           s.integer("normalize_routing_weights", 0));
  Tensor total = c.fill({tokens, width}, DType::f32, 0);
  Value table = c.value(rows);
  for (int64_t expert = 0; expert < experts; ++expert) {
    Tensor weight = c.slice(weights, 1, expert, 1);
    Routed routed = routedTo(c, s, weight, expert);
    Extent count = routed.tokens.shape[0];
    Tensor own =
        c.generate({count, width}, x.type, {c.unsqueeze(routed.tokens, {1})},
                   [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     return c.extract(body, table, x.type, {v[0], at[1]});
                   });
    Tensor y =
        apply(c, middle(c, s, network, own, expert), network.second, expert);
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

Tensor importExperts(const Core &c, const Site &s) {
  int64_t experts = expertsOf(c, s);
  auto layer = [&](size_t at) -> Layer {
    if (!s[at])
      return {};
    requireExperts(c, s[at], experts);
    return {[&c, weights = s[at]](const Tensor &x, int64_t expert) {
              return c.matmul2d(x, ofExpert(c, weights, expert), true);
            },
            s[at + 1]};
  };
  return mixture(c, s, {layer(2), layer(4), layer(6)}, experts, {});
}

/// The weights are integers of few bits with a scale for each block of a row,
/// or for each row.
Tensor importQuantizedExperts(const Core &c, const Site &s) {
  int64_t experts = expertsOf(c, s);
  StringRef kind = s.text("quant_type", "int");
  if (kind != "int")
    c.unsupported("experts quantized to '" + kind +
                  "' are not supported; quantize them to 'int'");
  if (s.integer("weights_prepacked", -1) > 0)
    c.unsupported("weights that are packed for one kind of processor are not "
                  "supported; export the model without prepacking");
  int64_t shared = s.integer("expert_weight_bits", 4),
          block = s.integer("block_size", 0);
  auto layer = [&](size_t at, size_t zerosAt, StringRef bitsName) -> Layer {
    Tensor bytes = s[at], scales = s[at + 1], zeros = s[zerosAt];
    if (!bytes)
      return {};
    requireExperts(c, bytes, experts);
    int64_t bits = s.integer(bitsName, shared);
    if (bits != 2 && bits != 4 && bits != 8)
      c.unsupported("weights of " + Twine(bits) +
                    " bits are not supported; quantize them to 2, 4 or 8");
    if (!scales)
      c.fail("the weights of operand " + Twine(at) + " have no scales");
    Extent rows = bytes.shape[1], columns = bytes.shape[2] * (8 / bits);
    std::optional<int64_t> whole = columns.constant();
    if (!whole)
      c.fail("the weights' rows must be of constant size");
    auto times = [=, &c](const Tensor &x, int64_t expert) {
      BlockQuantized w{ofExpert(c, bytes, expert),
                       ofExpert(c, scales, expert),
                       {},
                       rows,
                       columns,
                       bits,
                       block > 0 ? block : *whole,
                       s.integer("accuracy_level", 0)};
      if (!zeros)
        return timesBlocks(c, x, w);
      w.zeros = ofExpert(c, zeros, expert);
      // Of whole rows, the zero points are packed from row to row.
      if (w.zeros.rank() == 1)
        w.zeros = c.cast(c.slice(unpackLast(c, w.zeros, bits), 0, 0, rows),
                         DType::f32);
      return timesBlocks(c, x, w);
    };
    return {times, s[at + 2]};
  };
  return mixture(c, s,
                 {layer(2, 11, "fc1_expert_weight_bits"),
                  layer(5, 12, "fc2_expert_weight_bits"),
                  layer(8, 13, "fc3_expert_weight_bits")},
                 experts, s[14]);
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
  ops.add("QMoE <accuracy_level: int = 0, activation_alpha: float = 1, "
          "activation_beta: float = 0, activation_type: string = relu, "
          "block_size: int?, expert_weight_bits: int = 4, "
          "fc1_expert_weight_bits: int?, fc2_expert_weight_bits: int?, "
          "fc3_expert_weight_bits: int?, k: int = 1, "
          "normalize_routing_weights: int = 0, quant_type: string = int, "
          "swiglu_fusion: int = 0, swiglu_limit: float?, "
          "use_sparse_mixer: int = 0, weights_prepacked: int = -1> (T input, "
          "T router_probs, W fc1_experts_weights, S? fc1_scales, "
          "T? fc1_experts_bias, W fc2_experts_weights, S? fc2_scales, "
          "T? fc2_experts_bias, W? fc3_experts_weights, S? fc3_scales, "
          "T? fc3_experts_bias, W? fc1_zero_points, W? fc2_zero_points, "
          "W? fc3_zero_points, T? router_weights, float? fc1_global_scale, "
          "float? fc2_global_scale, float? fc1_act_scale, "
          "float? fc2_act_scale, S? fc1_act_block_scale, "
          "S? fc2_act_block_scale) => (T output like input) "
          "where T: float|float16|bfloat16, W: uint8|float8e4m3fn, "
          "S: float|float16|bfloat16|float8e8m0|float8e4m3fn",
          importQuantizedExperts);
}
