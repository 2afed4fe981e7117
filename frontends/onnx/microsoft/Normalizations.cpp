// Layer normalisation with what stands in front of it: residuals, biases,
// embeddings.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/Quantization.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
SmallVector<int64_t> from(int64_t axis, int64_t rank) {
  return llvm::to_vector(llvm::seq(axis, rank));
}

/// LayerNormalization as ONNX Runtime had it before ONNX: operand and scale may
/// be of different types, and the result is of the scale's.
SmallVector<Tensor> importLayerNormalization(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t axis = c.axis(s.integer("axis", -1), x.rank());
  double epsilon = s.real("epsilon", 1e-5f);
  Tensor y = layerNorm(c, x, c.cast(s[1], x.type),
                       s[2] ? c.cast(s[2], x.type) : Tensor(), axis, epsilon);
  SmallVector<Tensor> results{c.cast(y, s[1].type)};
  if (s.wants(1) || s.wants(2)) {
    auto [mean, deviation] = statistics(c, c.cast(x, computeType(x.type)),
                                        from(axis, x.rank()), epsilon);
    results.append({mean, deviation});
  }
  return results;
}

SmallVector<Tensor> importSimplified(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t axis = c.axis(s.integer("axis", -1), x.rank());
  double epsilon = s.real("epsilon", 1e-5f);
  Tensor y = rmsNorm(c, x, c.cast(s[1], x.type), axis, epsilon);
  SmallVector<Tensor> results{c.cast(y, s[1].type)};
  if (s.wants(1))
    results.push_back(inverseRootMeanSquare(c, c.cast(x, computeType(x.type)),
                                            from(axis, x.rank()), epsilon));
  return results;
}

/// The normalised input + skip + bias, its statistics, and the sum itself.
template <bool simplified>
SmallVector<Tensor> importSkip(const Core &c, const Site &s) {
  Tensor x = s[0], beta = simplified ? Tensor() : s[3],
         bias = simplified ? s[3] : s[4];
  DType type = computeType(x.type);
  if (x.rank() == 0)
    c.fail("the input is a scalar");
  int64_t axis = x.rank() - 1;
  double epsilon = s.real("epsilon", 1e-12f);
  SmallVector<Tensor> parts{x, s[1]};
  if (bias)
    parts.push_back(bias);
  Tensor sum = c.map(parts, type, [&](ArrayRef<Scalar> v) {
    Scalar total = v[0] + v[1];
    return bias ? total + v[2] : total;
  });
  Tensor gamma = c.cast(s[2], type), y;
  if (simplified)
    y = rmsNorm(c, sum, gamma, axis, epsilon);
  else
    y = layerNorm(c, sum, gamma, beta ? c.cast(beta, type) : Tensor(), axis,
                  epsilon);
  SmallVector<Tensor> results{c.cast(y, x.type), {}, {}, {}};
  if (s.wants(1))
    results[1] = c.mean(sum, {axis}, true);
  if (s.wants(2))
    results[2] = simplified ? inverseRootMeanSquare(c, sum, {axis}, epsilon)
                            : statistics(c, sum, {axis}, epsilon).second;
  if (s.wants(3))
    results[3] = c.cast(sum, x.type);
  return results;
}

/// Makes numbers of (rows of) an operand.
using Numbers = llvm::function_ref<Tensor(const Tensor &x, size_t operand)>;

/// Rows of up to three tables, added up and normalised; and how many elements
/// of each mask are 1.
SmallVector<Tensor> embed(const Core &c, const Site &s, const Tensor &positions,
                          Numbers numbers) {
  Tensor ids = s[0], segments = s[1], mask = s[7];
  if (ids.rank() != 2 || s[2].rank() != 2 || s[3].rank() != 2)
    c.fail("needs ids and tables of rank 2, not " + Twine(ids.rank()) + ", " +
           Twine(s[2].rank()) + " and " + Twine(s[3].rank()));
  Extent batch = ids.shape[0], length = ids.shape[1];
  Tensor word = c.gather(s[2], ids, 0, s.nameOf(2)), position;
  if (positions) {
    position = c.gather(s[3], positions, 0, s.nameOf(3));
  } else {
    Extent rows = s[3].shape[0];
    c.sizes.requireAtLeast(
        rows, length,
        "'" + c.sizes.atoms.text(length) + "' must not exceed the " +
            c.sizes.atoms.text(rows) + " positions of '" + s.nameOf(3) + "'",
        c.loc);
    position = c.slice(s[3], 0, 0, length);
  }
  SmallVector<Tensor> parts{numbers(word, 2), numbers(position, 3)};
  if (s[4])
    parts.push_back(numbers(segments ? c.gather(s[4], segments, 0, s.nameOf(4))
                                     : c.slice(s[4], 0, 0, 1),
                            4));
  DType result = parts[0].type, type = computeType(result);
  Tensor sum = c.map(parts, type, [&](ArrayRef<Scalar> v) {
    Scalar total = v[0] + v[1];
    return v.size() > 2 ? total + v[2] : total;
  });
  Tensor y =
      layerNorm(c, sum, c.cast(numbers(s[5], 5), type),
                c.cast(numbers(s[6], 6), type), 2, s.real("epsilon", 1e-12f));
  SmallVector<Tensor> results{c.cast(y, result), {}, {}};
  if (s.wants(1))
    results[1] =
        mask ? c.sum(c.map(mask,
                           [](const Scalar &v) {
                             return select(equal(v, v.like(1)), v, v.like(0));
                           }),
                     {1}, false)
             : c.fill({batch}, DType::i32, 0);
  if (s.wants(2))
    results[2] = c.cast(sum, result);
  return results;
}

SmallVector<Tensor> importEmbed(const Core &c, const Site &s) {
  return embed(c, s, s[8], [](const Tensor &x, size_t) { return x; });
}

/// The same with quantized tables and parameters.
SmallVector<Tensor> importQuantizedEmbed(const Core &c, const Site &s) {
  SmallVector<Tensor> results =
      embed(c, s, {}, [&](const Tensor &x, size_t operand) {
        constexpr size_t toScale = 6, toZero = 11;
        return dequantizeLinear(c, x, s[operand + toScale], s[operand + toZero],
                                DType::f32);
      });
  results.pop_back();
  return results;
}

/// The gate's activation.
Scalar gated(const Core &c, StringRef name, const Scalar &x) {
  if (name == "silu" || name == "swish")
    return x * sigmoid(x);
  if (name == "sigmoid")
    return sigmoid(x);
  c.fail("activation '" + name + "' is not one of silu, swish, sigmoid");
}

/// x normalised by the root mean square of every run of as many elements as the
/// scale has, times the scale and the activated gate.
Tensor importGatedRMSNorm(const Core &c, const Site &s) {
  Tensor x = s[0], scale = s[1], gate = s[2];
  DType type = computeType(x.type);
  std::optional<Extent> runs =
      x.rank() && scale.rank() == 1
          ? x.shape.back().divideExactly(scale.shape[0])
          : std::nullopt;
  if (!runs)
    c.fail("the last dim of shape " + c.text(x.shape) +
           " is not divisible by the scale's of shape " + c.text(scale.shape));
  Shape shape(ArrayRef(x.shape).drop_back());
  shape.append({*runs, scale.shape[0]});
  Tensor normal =
      rmsNorm(c, c.reshape(c.cast(x, type), shape), c.cast(scale, type),
              x.rank(), s.real("epsilon", 1e-5f));
  StringRef name = s.text("activation", "silu");
  return c.map({c.reshape(normal, x.shape), c.cast(gate, type)}, x.type,
               [&](ArrayRef<Scalar> v) { return v[0] * gated(c, name, v[1]); });
}
} // namespace

void microsoft::normalizations(Extensions &ops) {
  ops.add("LayerNormalization <axis: int = -1, epsilon: float = 1e-5, "
          "stash_type: int = 1> (T X, V Scale, V? B) "
          "=> (V Y like X, U? Mean, U? InvStdDev) "
          "where V: float16|float|double|bfloat16, U: float|double",
          importLayerNormalization);
  ops.add("SimplifiedLayerNormalization <axis: int = -1, "
          "epsilon: float = 1e-5, stash_type: int = 1> (T X, V scale) "
          "=> (V Y like X, U? inv_std_var) "
          "where V: float16|float|double|bfloat16, U: float|double",
          importSimplified);
  ops.add("SkipLayerNormalization <epsilon: float = 1e-12> "
          "(T input, T skip, T gamma, T? beta, T? bias) "
          "=> (T output like input, float? mean, float? inv_std_var, "
          "T? input_skip_bias_sum like input)",
          importSkip<false>);
  ops.add("SkipSimplifiedLayerNormalization <epsilon: float = 1e-12> "
          "(T input, T skip, T gamma, T? bias) "
          "=> (T output like input, float? mean, float? inv_std_var, "
          "T? input_skip_bias_sum like input)",
          importSkip<true>);
  ops.add("EmbedLayerNormalization <epsilon: float = 1e-12, "
          "mask_index_type: int?> (M input_ids, M? segment_ids, "
          "T word_embedding, T position_embedding, T? segment_embedding, "
          "T gamma, T beta, M? mask, M? position_ids) "
          "=> (T output, int32? mask_index, T? embedding_sum) "
          "where M: int32|int64",
          importEmbed);
  ops.add("QEmbedLayerNormalization <epsilon: float = 1e-12> "
          "(int32 input_ids, int32? segment_ids, Q word_embedding_quant, "
          "Q position_embedding_quant, Q? segment_embedding, Q gamma_quant, "
          "Q beta_quant, int32? mask, float word_embedding_scale, "
          "float position_embedding_scale, float? segment_embedding_scale, "
          "float gamma_scale, float beta_scale, Q word_embedding_zero_point, "
          "Q position_embedding_zero_point, Q? segment_embedding_zero_point, "
          "Q gamma_zero_point, Q beta_zero_point) "
          "=> (float layernorm_out, int32 mask_index_out) "
          "where Q: int8|uint8",
          importQuantizedEmbed);
  ops.add("GatedRMSNorm <activation: string = silu, epsilon: float = 1e-5> "
          "(T X, T scale, T gate) => (T Y like X)",
          importGatedRMSNorm);
  ops.stray({"LayerNormalization", "SimplifiedLayerNormalization"});
}
