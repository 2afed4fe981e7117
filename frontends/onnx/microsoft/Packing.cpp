// Batches without padding: all tokens of all sequences behind each other.
#include "frontends/onnx/Attention.h"
#include "frontends/onnx/Sort.h"
#include "frontends/onnx/microsoft/Cached.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using mlir::Value;

namespace {
Scalar index(Body &body, const Extent &extent) {
  return Scalar::extent(body, DType::index, extent);
}

/// Tokens that count come first, in order, then those that pad.
SmallVector<Tensor> importRemove(const Core &c, const Site &s) {
  Tensor x = s[0], counts = s[1];
  if (x.rank() != 3 || counts.rank() != 1)
    c.fail("input and counts have the shapes " + c.text(x.shape) + " and " +
           c.text(counts.shape));
  Extent batch = x.shape[0], length = x.shape[1], width = x.shape[2];
  c.requireEqual(counts.shape[0], batch);
  DType type = counts.type;
  // ends[b + 1] is where the tokens of sequence b end.
  Value given = c.value(counts);
  Value ends =
      c.loop({batch}, {c.value(c.fill({batch + 1}, type, 0))},
             [&](Body &body, ArrayRef<Scalar> at,
                 mlir::ValueRange state) -> SmallVector<Value> {
               Scalar count = c.extract(body, given, type, {at[0]});
               Scalar most = convert(index(body, length), type);
               count = maximum(minimum(count, most), count.like(0));
               Scalar end = c.extract(body, state[0], type, {at[0]}) + count;
               return {store(c, body, end, type, state[0], {at[0] + 1})};
             })[0];
  Tensor cumulated = c.tensor(ends, type, {batch + 1});
  Tensor last = c.slice(cumulated, 0, batch, 1);
  // A token that counts goes behind those before it; one that pads behind all
  // that count and the padding before it.
  Value total = c.value(c.reshape(last, {}));
  Value offsets = c.loop(
      {batch, length}, {c.empty({batch * length}, type)},
      [&](Body &body, ArrayRef<Scalar> at,
          mlir::ValueRange state) -> SmallVector<Value> {
        Scalar start =
                   convert(c.extract(body, ends, type, {at[0]}), DType::index),
               end = convert(c.extract(body, ends, type, {at[0] + 1}),
                             DType::index),
               all = convert(c.extract(body, total, type, {}), DType::index);
        Scalar token = at[0] * index(body, length) + at[1];
        Scalar place =
            select(at[1] < end - start, start + at[1], all + token - end);
        return {store(c, body, convert(token, type), type, state[0], {place})};
      })[0];
  Extent tokens = microsoft::sizeFrom(c, last, s.result(), batch * length);
  Tensor offset = c.tensor(offsets, type, {batch * length});
  Value rows = c.value(c.reshape(x, {batch * length, width}));
  Tensor packed =
      c.generate({tokens, width}, x.type,
                 {c.unsqueeze(c.slice(offset, 0, 0, tokens), {1})},
                 [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                   return c.extract(body, rows, x.type, {v[0], at[1]});
                 });
  return {packed, c.reshape(offset, {batch, length}), cumulated,
          c.max(counts, {0}, true)};
}

Tensor importRestore(const Core &c, const Site &s) {
  Tensor x = s[0], offset = s[1];
  if (x.rank() != 2 || offset.rank() != 2)
    c.fail("input and offsets have the ranks " + Twine(x.rank()) + " and " +
           Twine(offset.rank()) + ", not 2");
  Extent tokens = x.shape[0], width = x.shape[1],
         places = product(offset.shape);
  c.checkIndices(offset, places, "the unpacked tokens");
  Value from = c.value(c.reshape(offset, {places}));
  Value inverse =
      c.loop({places}, {c.value(c.fill({places}, DType::i64, 0))},
             [&](Body &body, ArrayRef<Scalar> at,
                 mlir::ValueRange state) -> SmallVector<Value> {
               Scalar place = c.extract(body, from, offset.type, {at[0]});
               return {store(c, body, convert(at[0], DType::i64), DType::i64,
                             state[0], {convert(place, DType::index)})};
             })[0];
  Value rows = c.value(x);
  Tensor result = c.generate(
      {places, width}, x.type,
      {c.unsqueeze(c.tensor(inverse, DType::i64, {places}), {1})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar row = convert(v[0], DType::index), count = index(body, tokens);
        Scalar inside = maximum(minimum(row, count - 1), row.like(0));
        Scalar element = c.extract(body, rows, x.type, {inside, at[1]});
        return select(row < count, element, element.like(0));
      });
  return c.reshape(result, {offset.shape[0], offset.shape[1], width});
}

/// Attention among the tokens [tokens, heads · size] of each sequence.
Tensor amongOwn(const Core &c, const Site &s, const Tensor &query,
                const Tensor &key, const Tensor &value, const Tensor &offset,
                const Tensor &ends, const Tensor &bias) {
  int64_t heads = s.integer("num_heads", 0);
  if (offset.rank() != 2 || ends.rank() != 1)
    c.fail("token offsets and ends have the shapes " + c.text(offset.shape) +
           " and " + c.text(ends.shape));
  Extent tokens = query.shape[0], batch = offset.shape[0];
  c.requireEqual(ends.shape[0], batch + 1);
  // The sequence of each token: how many have ended at or before it.
  Tensor past = c.generate(
      {tokens, batch}, DType::i64,
      {c.unsqueeze(c.slice(ends, 0, 1, batch), {0})},
      [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return convert(convert(v[0], DType::index) <= at[0], DType::i64);
      });
  Tensor sequence = c.sum(past, {1}, false);
  auto inHeads = [&](const Tensor &x) {
    return splitHeads(c, c.unsqueeze(x, {0}), heads);
  };
  Attention a;
  a.query = inHeads(query);
  a.key = inHeads(key);
  a.value = inHeads(value);
  a.scale = s.real("scale", 0);
  Tensor mine = c.unsqueeze(sequence, {0, 1, 3}),
         theirs = c.unsqueeze(sequence, {0, 1, 2});
  a.visible = c.map({mine, theirs}, DType::boolean,
                    [](ArrayRef<Scalar> v) { return equal(v[0], v[1]); });
  if (bias) {
    if (bias.rank() != 4)
      c.fail("the bias has rank " + Twine(bias.rank()) + ", not 4");
    // The place of a token in its own sequence.
    Value table = c.value(bias), starts = c.value(ends);
    Extent length = bias.shape[2];
    a.biases.push_back(c.generate(
        {1, heads, tokens, tokens}, bias.type, {mine},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          Scalar start =
              convert(c.extract(body, starts, ends.type, {v[0]}), DType::index);
          auto inside = [&](const Scalar &token) {
            Scalar place = token - start;
            return maximum(minimum(place, index(body, length - 1)),
                           place.like(0));
          };
          Scalar zero = at[0].like(0);
          return c.extract(
              body, table, bias.type,
              {bias.shape[0].is(1) ? zero : convert(v[0], DType::index),
               bias.shape[1].is(1) ? zero : at[1], inside(at[2]),
               inside(at[3])});
        }));
  }
  return c.squeeze(mergeHeads(c, attention(c, a).output), {0});
}

Tensor importPacked(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1];
  if (x.rank() != 2 || weights.rank() != 2)
    c.fail("input and weights have the ranks " + Twine(x.rank()) + " and " +
           Twine(weights.rank()) + ", not 2");
  SmallVector<int64_t> given = s.integers("qkv_hidden_sizes");
  Shape widths(given.begin(), given.end());
  if (widths.empty())
    widths.assign(3, weights.shape[1].divideExactly(3).value_or(0));
  if (widths.size() != 3 ||
      !c.sizes.atoms.knownEqual(widths[0] + widths[1] + widths[2],
                                weights.shape[1]))
    c.fail("weights of shape " + c.text(weights.shape) +
           " do not hold queries, keys and values");
  Tensor all = c.add(c.matmul(x, weights), s[2]);
  Tensor query = c.slice(all, 1, 0, widths[0]),
         key = c.slice(all, 1, widths[0], widths[1]),
         value = c.slice(all, 1, widths[0] + widths[1], widths[2]);
  return amongOwn(c, s, query, key, value, s[3], s[4], s[5]);
}

Tensor importPackedHeads(const Core &c, const Site &s) {
  Tensor query = s[0], key = s[1], value = s[2], bias = s[3];
  if (!key) {
    if (query.rank() != 4 || !query.shape[2].is(3))
      c.fail("packed queries, keys and values have the shape " +
             c.text(query.shape) + ", not [tokens, heads, 3, size]");
    auto part = [&](int64_t k) {
      return c.reshape(c.slice(query, 2, k, 1),
                       {query.shape[0], query.shape[1] * query.shape[3]});
    };
    key = part(1);
    value = part(2);
    query = part(0);
  }
  if (query.rank() != 2 || key.rank() != 2 || !value || value.rank() != 2)
    c.fail("queries, keys and values must be [tokens, heads · size]");
  if (bias) {
    Extent width = query.shape[1];
    query = c.add(query, c.slice(bias, 0, 0, width));
    key = c.add(key, c.slice(bias, 0, width, width));
    value = c.add(value, c.slice(bias, 0, width * 2, value.shape[1]));
  }
  return amongOwn(c, s, query, key, value, s[4], s[5], s[6]);
}
} // namespace

void microsoft::packing(Extensions &ops) {
  ops.add("RemovePadding (T input, M sequence_token_count) => (T output, "
          "M token_offset, M cumulated_seq_len, M max_seq_len) "
          "where M: int32",
          importRemove);
  ops.add("RestorePadding (T input, M token_offset) => (T output) "
          "where M: int32",
          importRestore);
  ops.add("PackedAttention <num_heads: int, qkv_hidden_sizes: ints?, "
          "scale: float?> (T input, T weights, T bias, M token_offset, "
          "M cumulative_sequence_length, T? attention_bias) => (T output) "
          "where M: int32",
          importPacked);
  ops.add("PackedMultiHeadAttention <mask_filter_value: float?, "
          "num_heads: int, scale: float?> (T query, T? key, T? value, "
          "T? bias, M token_offset, M cumulative_sequence_length, "
          "T? attention_bias) => (T output) where M: int32",
          importPackedHeads);
}
