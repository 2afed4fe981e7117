// Arithmetic that ONNX Runtime has as one operator.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Elimination.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
/// The distances between rows of two matrices.
Tensor importDistances(const Core &c, const Site &s) {
  if (s[0].rank() != 2 || s[1].rank() != 2)
    c.fail("needs matrices, not tensors of rank " + Twine(s[0].rank()) +
           " and " + Twine(s[1].rank()));
  StringRef metric = s.text("metric", "sqeuclidean");
  if (metric != "sqeuclidean" && metric != "euclidean")
    c.unsupported("the metric '" + metric + "' is not supported");
  Tensor squares =
      c.map({c.unsqueeze(s[0], {1}), c.unsqueeze(s[1], {0})}, s[0].type,
            [](ArrayRef<Scalar> v) { return (v[0] - v[1]) * (v[0] - v[1]); });
  Tensor total = c.sum(squares, {2}, false);
  return metric == "euclidean"
             ? c.map(total, [](const Scalar &v) { return sqrt(v); })
             : total;
}

/// a · b, or a · conj(b), of numbers that are pairs along the last dim.
template <bool conjugate> Tensor importComplex(const Core &c, const Site &s) {
  Tensor a = s[0], b = s[1];
  for (const Tensor &x : {a, b})
    if (x.rank() < 1 || !x.shape.back().is(2))
      c.fail("a tensor of shape " + c.text(x.shape) +
             " does not hold complex numbers");
  auto part = [&](const Tensor &x, int64_t k) {
    return c.slice(x, x.rank() - 1, k, 1);
  };
  Tensor in[] = {part(a, 0), part(a, 1), part(b, 0), part(b, 1)};
  double sign = conjugate ? -1 : 1;
  Tensor real = c.map(in, a.type, [&](ArrayRef<Scalar> v) {
    return v[0] * v[2] - v[1] * v[3] * sign;
  });
  Tensor imaginary = c.map(in, a.type, [&](ArrayRef<Scalar> v) {
    return v[1] * v[2] + v[0] * v[3] * sign;
  });
  return c.concat({real, imaginary}, real.rank() - 1);
}

/// Softmax of data + bias over all dims from the axis on.
Tensor importBiasSoftmax(const Core &c, const Site &s) {
  Tensor x = c.add(s[0], s[1]);
  int64_t axis = c.axis(s.integer("axis", 1), x.rank());
  Tensor flat = c.reshape(x, {product(ArrayRef(x.shape).take_front(axis)),
                              product(ArrayRef(x.shape).drop_front(axis))});
  return c.reshape(softmax(c, flat, 1), x.shape);
}

/// Whether no number is infinite or not a number.
Tensor importFinite(const Core &c, const Site &s) {
  bool infinite = !s.integer("isnan_only", 0),
       nan = !s.integer("isinf_only", 0);
  double limit = std::numeric_limits<double>::infinity();
  Tensor result;
  for (size_t k = 0; k < s.size(); ++k) {
    Tensor x = s[k];
    Tensor odd = c.map({x}, DType::boolean, [&](ArrayRef<Scalar> v) {
      Scalar isNaN = differ(v[0], v[0]),
             isInfinite = equal(abs(v[0]), v[0].like(limit));
      return infinite && nan ? isNaN | isInfinite : nan ? isNaN : isInfinite;
    });
    auto axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
    Tensor any =
        c.reduce(odd, axes, false, DType::boolean, {},
                 [](const Scalar &v, const Scalar &so) { return v | so; });
    result = result ? c.map({result, any}, DType::boolean,
                            [](ArrayRef<Scalar> v) { return v[0] | v[1]; })
                    : any;
  }
  return c.map({result}, DType::boolean,
               [](ArrayRef<Scalar> v) { return ~v[0]; });
}

/// scale · softplus(a + bias) in 32 bits, and σ(b).
SmallVector<Tensor> importGate(const Core &c, const Site &s) {
  SmallVector<Tensor> results{
      c.map({s[0], s[1], s[2]}, s[0].type,
            [](ArrayRef<Scalar> v) { return v[2] * softplus(v[0] + v[1]); })};
  if (s.wants(1)) {
    if (!s[3])
      c.fail("the update rate needs input 3");
    results.push_back(c.map(s[3], sigmoid));
  }
  return results;
}

/// A convolution of each channel with the elements before, some of which are
/// those that the run before left.
SmallVector<Tensor> importCausalConv(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1], bias = s[2], state = s[3];
  int64_t dilation = s.integer("dilation", 1);
  if (s.integer("ndim", 1) != 1 || s.integer("state_window", 0))
    c.unsupported("only convolutions over one dim with one state are "
                  "supported");
  if (dilation < 1)
    c.fail("attribute 'dilation' is " + Twine(dilation) + ", which is below 1");
  std::optional<int64_t> size =
      weights.rank() == 3 ? weights.shape[2].constant() : std::nullopt;
  if (x.rank() != 3 || !size || !weights.shape[1].is(1))
    c.fail("input and weights have the shapes " + c.text(x.shape) + " and " +
           c.text(weights.shape) +
           ", which are not of rank 3 and [channels, 1, constant]");
  bool behind = s.integer("channels_last", 0);
  auto turned = [&](const Tensor &t) {
    return behind ? c.transpose(t, {0, 2, 1}) : t;
  };
  x = turned(x);
  if (state)
    state = turned(state);
  int64_t kept = (*size - 1) * dilation;
  Shape before(x.shape);
  before[2] = kept;
  if (!state)
    state = c.fill(before, x.type, 0);
  Tensor all = c.concat({state, x}, 2);
  DType type = computeType(x.type);
  SmallVector<Tensor> in;
  for (int64_t k = 0; k < *size; ++k) {
    in.push_back(c.slice(all, 2, k * dilation, x.shape[2]));
    in.push_back(c.reshape(c.slice(weights, 2, k, 1), {x.shape[1], 1}));
  }
  if (bias)
    in.push_back(c.unsqueeze(bias, {1}));
  StringRef name = s.text("activation", "none");
  bool silu = name == "silu" || name == "swish";
  if (!silu && name != "none" && !name.empty())
    c.unsupported("the activation '" + name + "' is not supported");
  Tensor y = c.map(in, x.type, [&](ArrayRef<Scalar> v) {
    Scalar total = bias ? convert(v.back(), type) : v[0].like(0);
    for (int64_t k = 0; k < *size; ++k)
      total = total + v[2 * k] * v[2 * k + 1];
    return silu ? total * sigmoid(total) : total;
  });
  return {turned(y), turned(c.slice(all, 2, x.shape[2], kept))};
}
} // namespace

void microsoft::arithmetic(Extensions &ops) {
  ops.add("BiasSoftmax <axis: int = 1, is_inner_broadcast: int> "
          "(T data, T bias) => (T output like data)",
          importBiasSoftmax);
  ops.add("CausalConvWithState <activation: string = none, "
          "channels_last: int = 0, dilation: int = 1, ndim: int = 1, "
          "state_window: int = 0> (T input, T weight, T? bias, "
          "T? past_state) => (T output like input, T present_state)",
          importCausalConv);
  ops.add("CDist <metric: string = sqeuclidean> (T A, T B) => (T C)",
          importDistances);
  ops.add("ComplexMul (T A, T B) => (T C)", importComplex<false>);
  ops.add("ComplexMulConj (T A, T B) => (T C)", importComplex<true>);
  ops.add("IsAllFinite <isinf_only: int = 0, isnan_only: int = 0> "
          "(T... input) => (bool output)",
          importFinite);
  ops.add("LinearAttentionGate (T a, float dt_bias, float decay_scale, T? b) "
          "=> (T decay like a, T? beta like b)",
          importGate);
  ops.add("Inverse (T X) => (T Y like X) where T: float16|float|double",
          [](const Core &c, const Site &s) { return inverse(c, s[0]); });
  ops.expand("SampleOp (T X) => (T Y like X) where T: "
             "uint32|uint64|int32|int64|float16|float|double",
             "Y = Identity(X)");
  ops.expand("Rfft <normalized: int = 0 only, onesided: int = 1 only, "
             "signal_ndim: int = 1 only> (T X) => (T Y)",
             "last = Constant <value_ints = [-1]> () "
             "pairs = Unsqueeze(X, last) Y = DFT <onesided = 1> (pairs)");
  // The other half of the numbers are the conjugates of these, in reverse.
  ops.expand("Irfft <normalized: int = 0 only, onesided: int = 1 only, "
             "signal_ndim: int = 1 only> (T X) => (T Y)",
             "last = Constant <value_ints = [-1]> () "
             "before = Constant <value_ints = [-2]> () "
             "zero = Constant <value_ints = [0]> () "
             "one = Constant <value_ints = [1]> () "
             "reversed = Slice(X, before, zero, before, last) "
             "signs = Constant <value_floats = [1.0, -1.0]> () "
             "factors = CastLike(signs, X) mirrored = Mul(reversed, factors) "
             "all = Concat <axis = -2> (X, mirrored) "
             "times = DFT <inverse = 1> (all) "
             "real = Slice(times, zero, one, last) Y = Squeeze(real, last)");
  ops.expand("LinearAttention <chunk_size: int = 64, kv_num_heads: int, "
             "q_num_heads: int, scale: float = 0, state_window: int = 0 only, "
             "update_rule: string = gated_delta> (T query, T key, T value, "
             "S? past_state, T? decay, T? beta) => (T output, "
             "S present_state) where S: float|float16|bfloat16",
             "output, present_state = LinearAttention "
             "<kv_num_heads: int = @kv_num_heads, "
             "q_num_heads: int = @q_num_heads, scale: float = @scale, "
             "update_rule: string = @update_rule> "
             "(query, key, value, past_state, decay, beta)");
}
