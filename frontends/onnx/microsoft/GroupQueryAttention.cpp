// Attention of language models that generate: a cache of keys and values, of
// which each sequence of a batch has its own share in use; several heads to one
// head of keys; rotary embedding and windows on demand.
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/State.h"
#include "frontends/onnx/microsoft/Cached.h"
#include "frontends/onnx/microsoft/Masks.h"
#include "frontends/onnx/microsoft/Operators.h"
#include "frontends/onnx/microsoft/QuantizedCache.h"
#include "frontends/onnx/microsoft/Rotary.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
/// How long the sequences of a batch are.
struct Lengths {
  Extent queries; ///< new tokens
  Extent total;   ///< of the longest sequence, earlier tokens included
  Tensor past;    ///< [batch] i64: earlier tokens
  Tensor ends;    ///< [batch] i64: all tokens
};

/// The lengths in terms of 'seqlens_k', which are one less; `most` is the
/// longest that they can be.
Lengths lengthsOf(const Core &c, const Site &s, const Extent &batch,
                  const Extent &queries, const Extent &rows,
                  const Extent &most) {
  // The bias says it, too.
  Extent total = s[10] && !s[6].known() ? s[10].shape.back()
                                        : sizeFrom(c, s[6], s.nameOf(6), most);
  c.requireEqual(product(s[5].shape), batch);
  Tensor last = c.cast(c.reshape(s[5], {batch}), DType::i64);
  c.checkIndices(last, c.sizes.atoms.max(rows, total), "the cache");
  Tensor ends = c.map(last, [](const Scalar &v) { return v + 1; });
  if (!s[3])
    return {queries, total, c.fill({batch}, DType::i64, 0), ends};
  Tensor past = earlierTokens(c, ends, queries, total);
  return {queries, total, past, ends};
}

/// BOOL [batch, 1, queries, keys]. With `causal`, every query sees a key: in a
/// window, also those behind the end of their sequence, which nobody reads.
Tensor visibleKeys(const Core &c, const Site &s, const Lengths &lengths,
                   const Extent &keys, const Tensor &past) {
  int64_t window = s.integer("local_window_size", -1);
  bool oneWay = s.integer("causal", 1);
  Tensor start = perBatch(c, past), end = perBatch(c, lengths.ends);
  return c.generate(
      {start.shape[0], 1, lengths.queries, keys}, DType::boolean, {start, end},
      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar limit = convert(v[1], DType::index);
        if (!oneWay)
          return window < 0
                     ? at[3] < limit
                     : (at[3] < limit) & (at[3] >= limit - double(window));
        Scalar last = convert(v[0], DType::index) + at[2];
        return (at[3] <= last) &
               (window < 0 ? at[3] < limit : at[3] > last - double(window));
      });
}

/// RMS normalisation of every head before it is turned.
Tensor normalized(const Core &c, const Site &s, const Tensor &x,
                  const Tensor &weight) {
  return weight ? rmsNorm(c, x, weight, 3, s.real("qk_norm_epsilon", 1e-6f))
                : x;
}

SmallVector<Tensor> importGroupQuery(const Core &c, const Site &s) {
  int64_t heads = s.integer("num_heads", 0),
          keyHeads = s.integer("kv_num_heads", 0);
  if (s.integer("sliding_window_cache", 0))
    c.unsupported("caches that keep only the window are not supported; export "
                  "the model with a cache for whole sequences");
  auto [q, k, v] = groupedHeads(c, s[0], s[1], s[2], heads, keyHeads);
  Tensor pastKey = s[3], pastValue = s[4];
  int64_t bits = s.integer("kv_cache_bit_width", 8);
  CacheForm keyForm(c, s.text("k_quant_type", "NONE"), bits, pastKey, s[12]),
      valueForm(c, s.text("v_quant_type", "NONE"), bits, pastValue, s[13]);
  if (bool(pastKey) != bool(pastValue) ||
      (pastKey && (pastKey.rank() != 4 || pastValue.rank() != 4)))
    c.fail("the caches must be there both or not at all, and of rank 4");
  Extent batch = q.shape[0], queries = q.shape[2],
         rows = pastKey ? pastKey.shape[2] : Extent(0);
  bool appends = !k.shape[2].is(0); // or all keys are in the cache already
  // A state has room for new rows; other caches become longer by them.
  bool inPlace = isBuffer(pastKey) && isBuffer(pastValue);
  Lengths lengths =
      lengthsOf(c, s, batch, queries, rows, inPlace ? rows : rows + queries);

  q = normalized(c, s, q, s[14]);
  k = normalized(c, s, k, s[15]);
  if (s.integer("do_rotary", 0)) {
    if (!s[7] || !s[8] || s[7].rank() != 2 || !s[7].shape[1].constant())
      c.fail("rotary embedding needs tables [positions, constant] of cosines "
             "and sines");
    Rotation rotation{s[7], s[8], 2 * *s[7].shape[1].constant(),
                      s.integer("rotary_interleaved", 0) != 0};
    Tensor positions = s[9] ? s[9] : positionsFrom(c, lengths.past, queries);
    q = rotate(c, q, rotation, positions);
    if (appends)
      k = rotate(c, k, rotation, positions);
  }

  if (!appends && !pastKey)
    c.fail("there are neither new keys nor a cache of earlier ones");
  Extent keys = lengths.total;
  if (!appends || inPlace)
    c.sizes.requireAtLeast(
        rows, appends ? c.sizes.atoms.max(keys, queries) : keys,
        "'" + c.sizes.atoms.text(keys) + "' keys must fit the cache of '" +
            c.sizes.atoms.text(rows) + "'",
        c.loc);
  auto append = [&](const Tensor &past, const Tensor &added,
                    const CacheForm &form) {
    if (!appends)
      return past;
    Tensor fresh = form.encoded(c, added);
    if (inPlace)
      return insertRows(c, past, fresh, lengths.past);
    return appendRows(c, past, fresh, lengths.past,
                      c.sizes.atoms.max(rows, keys), false);
  };
  auto inUse = [&](const Tensor &all, const Tensor &fresh,
                   const CacheForm &form) {
    Shape sizes(all.shape);
    sizes[2] = keys;
    if (form.bits != 4)
      sizes[3] = fresh.shape[3]; // as constant as it is
    Tensor rows = c.slice(all, Shape(4, 0), sizes, SmallVector<int64_t>(4, 1));
    return form.decoded(c, rows, fresh.shape[3]);
  };
  Tensor allKeys = append(pastKey, k, keyForm),
         allValues = append(pastValue, v, valueForm);
  Attention a;
  a.query = q;
  a.key = inUse(allKeys, k, keyForm);
  a.value = inUse(allValues, v, valueForm);
  a.scale = s.real("scale", 0);
  a.softcap = s.real("softcap", 0);
  if (s[10])
    a.biases.push_back(s[10]);
  a.visible = visibleKeys(c, s, lengths, keys, lengths.past);
  a.allSee = s.integer("causal", 1);
  if (s[11])
    a.sink = s[11];
  else if (s.integer("smooth_softmax", -1) == 1)
    a.sink = c.fill({heads}, DType::f32, 0);
  AttentionResult result = attention(c, a);

  SmallVector<Tensor> results{
      mergeHeads(c, result.output), allKeys, allValues, {}};
  if (s.wants(3)) {
    bool before = s.integer("qk_output", 0) == 1;
    results[3] = before ? c.map({result.scores, a.visible}, q.type,
                                [](ArrayRef<Scalar> v) {
                                  return select(v[1], v[0], v[0].like(0));
                                })
                        : result.weights;
  }
  return results;
}
} // namespace

void microsoft::groupQueryAttention(Extensions &ops) {
  ops.add("GroupQueryAttention <num_heads: int, kv_num_heads: int, "
          "causal: int = 1, scale: float?, softcap: float?, "
          "local_window_size: int = -1, smooth_softmax: int = -1, "
          "do_rotary: int?, rotary_interleaved: int?, qk_output: int = 0, "
          "qk_norm_epsilon: float = 1e-6, sliding_window_cache: int = 0, "
          "k_quant_type: string = NONE, v_quant_type: string = NONE, "
          "kv_cache_bit_width: int?> (T query, T? key, T? value, "
          "C? past_key, C? past_value, M seqlens_k, M total_sequence_length, "
          "T? cos_cache, T? sin_cache, int64? position_ids, "
          "T? attention_bias, T? head_sink, float? k_scale, float? v_scale, "
          "T? q_norm_weight, T? k_norm_weight) => (T output, C? present_key, "
          "C? present_value, T? output_qk) where M: int32, "
          "C: float|float16|bfloat16|uint8|int8|float8e4m3fn",
          importGroupQuery);
}
