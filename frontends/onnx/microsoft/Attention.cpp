// Attention with projections, biases, masks and caches around it.
#include "frontends/onnx/microsoft/Attention.h"
#include "frontends/onnx/Attention.h"
#include "frontends/onnx/microsoft/Masks.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
constexpr double kFilter = -10000; ///< what hides a key unless the model says

Tensor withBias(const Core &c, const Tensor &x, const Tensor &bias,
                const Extent &start, const Extent &size) {
  return bias ? c.add(x, c.slice(bias, 0, start, size)) : x;
}

/// Keys and values of earlier runs and of this one.
struct Cache {
  Tensor key, value; ///< [batch, heads, rows, size]
  Tensor past;       ///< how many rows come from earlier runs: []
};

/// Appends to what is there. With a length the cache is a buffer for the
/// longest sequence there may be, of which that many rows are in use.
Cache append(const Core &c, const Tensor &pastKey, const Tensor &pastValue,
             const Tensor &key, const Tensor &value, const Tensor &length) {
  if (!pastKey)
    return {key, value, c.scalar(DType::i64, 0)};
  if (pastKey.rank() != 4 || pastValue.rank() != 4)
    c.fail("the caches have the shapes " + c.text(pastKey.shape) + " and " +
           c.text(pastValue.shape) + ", which are not of rank 4");
  const Extent &rows = pastKey.shape[2];
  if (!length)
    return {c.concat({pastKey, key}, 2), c.concat({pastValue, value}, 2),
            c.reshape(c.vector({rows}), {})};
  c.checkIndices(length, rows + 1, "the cache");
  Tensor one = c.reshape(length, {1});
  return {appendRows(c, pastKey, key, one, rows, true),
          appendRows(c, pastValue, value, one, rows, true), c.reshape(one, {})};
}

/// The rows of a buffer that the mask or the bias speaks of; all of them if
/// there is neither.
Extent keyCount(const Core &c, const Tensor &buffer, bool shared,
                const Tensor &mask, const Tensor &bias) {
  const Extent &rows = buffer.shape[2];
  if (!shared)
    return rows;
  Extent count = bias ? bias.shape.back()
                 : mask && mask.rank() > 1 && mask.rank() < 4
                     ? mask.shape.back()
                     : rows;
  c.sizes.requireAtLeast(rows, count,
                         "'" + c.sizes.atoms.text(count) +
                             "' keys must fit the cache of '" +
                             c.sizes.atoms.text(rows) + "'",
                         c.loc);
  return count;
}

/// Attention over a cache as the attributes 'scale', 'unidirectional' and
/// 'mask_filter_value' want it.
AttentionResult attend(const Core &c, const Site &s, const Tensor &query,
                       const Cache &cache, bool shared, const Tensor &mask,
                       const Tensor &bias) {
  Extent keys = keyCount(c, cache.key, shared, mask, bias);
  MaskSizes sizes{query.shape[0], query.shape[2], keys, cache.past};
  Attention a;
  a.query = query;
  a.key = c.slice(cache.key, 2, 0, keys);
  a.value = c.slice(cache.value, 2, 0, keys);
  a.scale = s.real("scale", 0);
  if (bias) {
    if (bias.rank() != 4)
      c.fail("the bias has rank " + Twine(bias.rank()) + ", not 4");
    a.biases.push_back(bias);
  }
  if (mask)
    if (Tensor hidden = maskBias(
            c, mask, sizes, s.real("mask_filter_value", kFilter), query.type))
      a.biases.push_back(hidden);
  bool oneWay = s.integer("unidirectional", 0) && !query.shape[2].is(1);
  if (oneWay || shared) {
    // Of a shared buffer, nobody sees what is behind the rows in use.
    if (!oneWay)
      sizes.queries = 1;
    MaskSizes last = sizes;
    if (!oneWay)
      last.past = c.map(cache.past, [&](const Scalar &v) {
        return v + convert(Scalar::extent(*v.body, DType::index,
                                          query.shape[2] - 1),
                           v.type);
      });
    a.visible = causal(c, last);
  }
  return attention(c, a);
}

} // namespace

SmallVector<Tensor> fulgur::onnx::microsoft::projectedAttention(
    const Core &c, const Site &s, const Tensor &all, const Tensor &mask,
    const Tensor &past, const Tensor &scoreBias, const Tensor &length) {
  int64_t heads = s.integer("num_heads", 0);
  if (s.integer("do_rotary", 0))
    c.unsupported("rotary embedding inside Attention is not supported; export "
                  "the model with RotaryEmbedding and MultiHeadAttention");
  if (all.rank() != 3)
    c.fail("the projections have rank " + Twine(all.rank()) + ", not 3");
  SmallVector<int64_t> given = s.integers("qkv_hidden_sizes");
  Shape widths(given.begin(), given.end());
  if (widths.empty())
    widths.assign(3, all.shape[2].divideExactly(3).value_or(0));
  if (widths.size() != 3 ||
      !c.sizes.atoms.knownEqual(widths[0] + widths[1] + widths[2],
                                all.shape[2]))
    c.fail("projections of shape " + c.text(all.shape) +
           " do not hold queries, keys and values of the widths " +
           c.text(widths));
  Tensor parts[3];
  Extent start = 0;
  for (int k = 0; k < 3; ++k) {
    parts[k] = splitHeads(c, c.slice(all, 2, start, widths[k]), heads);
    start += widths[k];
  }
  bool shared = s.integer("past_present_share_buffer", 0) && past;
  Tensor pastKey, pastValue;
  if (past) {
    if (past.rank() != 5)
      c.fail("the cache has the shape " + c.text(past.shape) +
             ", not [2, batch, heads, length, size]");
    c.requireEqual(past.shape[0], 2);
    pastKey = c.squeeze(c.slice(past, 0, 0, 1), {0});
    pastValue = c.squeeze(c.slice(past, 0, 1, 1), {0});
  }
  if (shared && !length)
    c.fail("the cache is a shared buffer, but 'past_sequence_length' is "
           "missing");
  Cache cache = append(c, pastKey, pastValue, parts[1], parts[2],
                       shared ? length : Tensor());
  SmallVector<Tensor> results{mergeHeads(
      c, attend(c, s, parts[0], cache, shared, mask, scoreBias).output)};
  if (s.wants(1))
    results.push_back(c.concat(
        {c.unsqueeze(cache.key, {0}), c.unsqueeze(cache.value, {0})}, 0));
  return results;
}

namespace {
/// Queries, keys and values from one projection of the input.
SmallVector<Tensor> importAttention(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1], bias = s[2];
  if (x.rank() != 3 || weights.rank() != 2)
    c.fail("input and weights have the ranks " + Twine(x.rank()) + " and " +
           Twine(weights.rank()) + ", not 3 and 2");
  Tensor all = c.matmul(x, weights);
  if (bias)
    all = c.add(all, bias);
  return projectedAttention(c, s, all, s[3], s[4], s[5], s[6]);
}

/// One query a sequence, with a buffer as cache.
SmallVector<Tensor> importDecoderSelf(const Core &c, const Site &s) {
  if (s[8])
    c.unsupported("a cache that beams share is not supported here; export the "
                  "model with DecoderMaskedMultiHeadAttention");
  Tensor all = c.add(c.matmul(s[0], s[1]), s[2]);
  return projectedAttention(c, s, all, s[3], s[4], s[5], s[6]);
}

/// Queries, keys and values of an operator that takes them projected.
struct Heads {
  Tensor query, key, value; ///< [batch, heads, length, size]
};

/// The third (or half) at `index` of [batch, length, heads, parts, size].
Tensor partOf(const Core &c, const Tensor &packed, int64_t index) {
  return c.transpose(c.squeeze(c.slice(packed, 3, index, 1), {3}),
                     {0, 2, 1, 3});
}

Heads headsOf(const Core &c, const Tensor &query, const Tensor &key,
              const Tensor &value, const Tensor &bias, int64_t heads) {
  auto flat = [&](const Tensor &x) { return mergeHeads(c, x); };
  Tensor q = query, k = key, v = value;
  if (query.rank() == 5) { // all three packed
    if (key || value || !query.shape[3].is(3))
      c.fail("packed queries, keys and values have the shape " +
             c.text(query.shape) +
             ", not [batch, length, heads, 3, size] by itself");
    q = flat(partOf(c, query, 0));
    k = flat(partOf(c, query, 1));
    v = flat(partOf(c, query, 2));
  } else if (!key) { // a third of the last dim each
    std::optional<Extent> width =
        query.rank() == 3 ? query.shape[2].divideExactly(3) : std::nullopt;
    if (!width || value)
      c.fail("without keys the queries have the shape " + c.text(query.shape) +
             ", whose last dim is not three parts");
    q = c.slice(query, 2, 0, *width);
    k = c.slice(query, 2, *width, *width);
    v = c.slice(query, 2, *width * 2, *width);
  } else if (key.rank() == 5) { // keys and values packed
    if (value || !key.shape[3].is(2))
      c.fail("packed keys and values have the shape " + c.text(key.shape) +
             ", not [batch, length, heads, 2, size] by themselves");
    k = flat(partOf(c, key, 0));
    v = flat(partOf(c, key, 1));
  } else if (!value) {
    c.fail("there are keys but no values");
  }
  if (q.rank() != 3 || (k.rank() != 3 && k.rank() != 4) || v.rank() != k.rank())
    c.fail("queries, keys and values have the shapes " + c.text(q.shape) +
           ", " + c.text(k.shape) + " and " + c.text(v.shape));
  Extent width = q.shape[2];
  if (bias && bias.rank() != 1)
    c.fail("the bias has rank " + Twine(bias.rank()) + ", not 1");
  q = withBias(c, q, bias, 0, width);
  if (k.rank() == 4) // from an encoder: in heads already, with their biases
    return {splitHeads(c, q, heads), k, v};
  k = withBias(c, k, bias, width, width);
  v = withBias(c, v, bias, width * 2, v.shape[2]);
  return {splitHeads(c, q, heads), splitHeads(c, k, heads),
          splitHeads(c, v, heads)};
}

/// The cache as each beam sees it: row t of a beam comes from the beam that
/// `indirection` [batch / width, width, rows] names.
Tensor seenByBeam(const Core &c, const Tensor &cache,
                  const Tensor &indirection) {
  if (indirection.rank() != 3)
    c.fail("the beams of the cache have rank " + Twine(indirection.rank()) +
           ", not 3");
  const Extent &width = indirection.shape[1];
  Tensor origin =
      c.reshape(indirection, {cache.shape[0], 1, indirection.shape[2], 1});
  mlir::Value table = c.value(cache);
  return c.generate(
      cache.shape, cache.type, {c.slice(origin, 2, 0, cache.shape[2])},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar count = Scalar::extent(body, DType::index, width);
        Scalar within = maximum(minimum(convert(v[0], DType::index), count - 1),
                                count.like(0));
        Scalar beam = at[0] / count * count + within;
        return c.extract(body, table, cache.type, {beam, at[1], at[2], at[3]});
      });
}

/// Attention to a cache to which the new keys and values are appended; its
/// earlier rows may be other beams'.
SmallVector<Tensor> withCache(const Core &c, const Site &s, const Heads &h,
                              const Tensor &pastKey, const Tensor &pastValue,
                              const Tensor &length, const Tensor &indirection,
                              const Tensor &mask, const Tensor &bias) {
  bool shared = length && pastKey;
  Cache cache = append(c, pastKey, pastValue, h.key, h.value,
                       shared ? length : Tensor()),
        seen = cache;
  if (shared && indirection)
    seen =
        append(c, seenByBeam(c, pastKey, indirection),
               seenByBeam(c, pastValue, indirection), h.key, h.value, length);
  AttentionResult result = attend(c, s, h.query, seen, shared, mask, bias);
  SmallVector<Tensor> results{
      mergeHeads(c, result.output), cache.key, cache.value, {}};
  if (s.wants(3))
    results[3] = result.scores;
  return results;
}

SmallVector<Tensor> importMultiHead(const Core &c, const Site &s) {
  Heads h = headsOf(c, s[0], s[1], s[2], s[3], s.integer("num_heads", 0));
  return withCache(c, s, h, s[6], s[7], s[8], s[9], s[4], s[5]);
}

/// One query a sequence, with a buffer as cache.
SmallVector<Tensor> importDecoder(const Core &c, const Site &s) {
  Heads h = headsOf(c, s[0], s[1], s[2], s[10], s.integer("num_heads", 0));
  bool shared = s[5] && s.integer("past_present_share_buffer", 0);
  if (shared && !s[7])
    c.fail("the cache is a shared buffer, but 'past_sequence_length' is "
           "missing");
  return withCache(c, s, h, s[5], s[6], shared ? s[7] : Tensor(), s[9], s[3],
                   s[4]);
}
} // namespace

void microsoft::attentions(Extensions &ops) {
  ops.add("Attention <num_heads: int, unidirectional: int = 0, "
          "qkv_hidden_sizes: ints?, mask_filter_value: float?, scale: float?, "
          "past_present_share_buffer: int?, do_rotary: int?, "
          "rotary_embedding_dim: int?> (T input, T weights, T? bias, "
          "M? mask_index, T? past, T? attention_bias, "
          "M? past_sequence_length) => (T output, T? present) where M: int32",
          importAttention);
  ops.add("DecoderMaskedSelfAttention <num_heads: int, do_rotary: int?, "
          "mask_filter_value: float?, past_present_share_buffer: int?, "
          "scale: float?> (T input, T weights, T bias, M? mask_index, T past, "
          "T? attention_bias, M? past_sequence_length, M? beam_width, "
          "M? cache_indirection) => (T output, T present) where M: int32",
          importDecoderSelf);
  ops.add("MultiHeadAttention <num_heads: int, unidirectional: int = 0, "
          "mask_filter_value: float?, scale: float?> (T query, T? key, "
          "T? value, T? bias, M? key_padding_mask, T? attention_bias, "
          "T? past_key, T? past_value, M? past_sequence_length, "
          "M? cache_indirection) => (T output, T? present_key, "
          "T? present_value, T? qk) where M: int32",
          importMultiHead);
  ops.add("DecoderMaskedMultiHeadAttention <num_heads: int, "
          "mask_filter_value: float?, scale: float?, "
          "past_present_share_buffer: int?, output_qk: int?> (T query, T? key, "
          "T? value, M? mask_index, T? attention_bias, T? past_key, "
          "T? past_value, M? past_sequence_length, M? beam_width, "
          "M? cache_indirection, T? bias) => (T output, T? present_key, "
          "T? present_value, T? qk) where M: int32",
          importDecoder);
}
