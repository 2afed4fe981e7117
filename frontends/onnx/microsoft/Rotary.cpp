#include "frontends/onnx/microsoft/Rotary.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

Tensor microsoft::rotate(const Core &c, const Tensor &x,
                         const Rotation &rotation, const Tensor &positions) {
  auto angles = [&](const Tensor &table) {
    return c.unsqueeze(c.gather(table, positions, 0, "the rotary cache"), {1});
  };
  return rotatePairs(c, x, angles(rotation.cosine), angles(rotation.sine),
                     rotation.size, rotation.interleaved);
}

namespace {
/// What a node turns and how; the input as [batch, heads, length, size].
struct Turned {
  Tensor heads;
  int64_t size;
};

Turned turnedOf(const Core &c, const Site &s) {
  Tensor x = s[0], table = s[2];
  int64_t count = s.integer("num_heads", 0),
          given = s.integer("rotary_embedding_dim", 0);
  std::optional<int64_t> half =
      table.rank() == 2 ? table.shape[1].constant() : std::nullopt;
  if (!half || s[3].rank() != 2)
    c.fail("the tables of cosines and sines have the shapes " +
           c.text(table.shape) + " and " + c.text(s[3].shape) +
           ", which are not [positions, constant]");
  if (x.rank() == 4)
    return {x, given ? given : 2 * *half};
  if (x.rank() != 3)
    c.fail("the input has rank " + Twine(x.rank()) + ", not 3 or 4");
  if (count == 0) { // heads are as wide as the table
    std::optional<Extent> heads = x.shape[2].divideExactly(2 * *half);
    if (!heads || !heads->constant())
      c.fail("a tensor of shape " + c.text(x.shape) +
             " has no whole number of heads of " + Twine(2 * *half) +
             " elements");
    count = *heads->constant();
  }
  return {splitHeads(c, x, count), given ? given : 2 * *half};
}

Tensor asInput(const Core &c, const Site &s, const Tensor &heads) {
  return s[0].rank() == 4 ? heads : mergeHeads(c, heads);
}

/// Positions [batch, length], or the first of consecutive ones.
Tensor positionsOf(const Core &c, const Tensor &given, const Extent &length) {
  if (given.rank() == 2 && !given.shape[1].is(1))
    return given;
  if (given.rank() == 2 && length.is(1))
    return given;
  return c.generate({1, length}, DType::i64, {c.reshape(given, {1, 1})},
                    [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return convert(v[0], DType::i64) +
                             convert(at[1], DType::i64);
                    });
}

Tensor importRotary(const Core &c, const Site &s) {
  Turned x = turnedOf(c, s);
  Rotation rotation{s[2], s[3], x.size, s.integer("interleaved", 0) != 0};
  return asInput(
      c, s,
      rotate(c, x.heads, rotation, positionsOf(c, s[1], x.heads.shape[2])));
}

/// Three positions a token; each column of the tables belongs to one of them.
Tensor importMultiRotary(const Core &c, const Site &s) {
  Turned x = turnedOf(c, s);
  SmallVector<int64_t> sections = s.integers("mrope_section");
  int64_t half = x.size / 2, layout = s.integer("mrope_layout", 0);
  if (sections.size() != 3 || sections[0] + sections[1] + sections[2] != half)
    c.fail("the " + Twine(sections.size()) + " sections of 'mrope_section' " +
           "are not three that have " + Twine(half) + " columns together");
  if (s[1].rank() != 3 || !s[1].shape[0].is(3))
    c.fail("the positions have the shape " + c.text(s[1].shape) +
           ", not [3, batch, length]");
  double scale = s.real("scale", 1);
  auto angles = [&](const Tensor &table) {
    Tensor all = c.gather(table, s[1], 0, "the rotary cache");
    mlir::Value value = c.value(all);
    Shape shape{all.shape[1], 1, all.shape[2], all.shape[3]};
    return c.generate(
        shape, all.type, {},
        [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
          const Scalar &column = at[3];
          Scalar zero = column.like(0), one = column.like(1),
                 two = column.like(2), stream;
          if (layout == 0) {
            stream = select(
                column < double(sections[0]), zero,
                select(column < double(sections[0] + sections[1]), one, two));
          } else {
            Scalar third = remainder(column, column.like(3));
            stream = select(
                equal(third, one) & (column < double(3 * sections[1])), one,
                select(equal(third, two) & (column < double(3 * sections[2])),
                       two, zero));
          }
          Scalar angle =
              c.extract(body, value, all.type, {stream, at[0], at[2], column});
          return scale == 1 ? angle : angle * scale;
        });
  };
  return asInput(c, s,
                 rotatePairs(c, x.heads, angles(s[2]), angles(s[3]), x.size,
                             s.integer("interleaved", 0)));
}
} // namespace

void microsoft::rotations(Extensions &ops) {
  ops.add("RotaryEmbedding <interleaved: int?, is_packed_batching: int?, "
          "num_heads: int?, rotary_embedding_dim: int?, scale: float?> "
          "(T input, M position_ids, T cos_cache, T sin_cache) "
          "=> (T output like input) where M: int64",
          importRotary);
  ops.add("MRotaryEmbedding <interleaved: int?, is_packed_batching: int?, "
          "mrope_layout: int?, mrope_section: ints, num_heads: int?, "
          "rotary_embedding_dim: int?, scale: float?> (T input, "
          "M position_ids, T cos_cache, T sin_cache) "
          "=> (T output like input) where M: int64",
          importMultiRotary);
  ops.expand("GemmaRotaryEmbedding (U emb, T q, T q_rot, T k, T k_rot) "
             "=> (T output1 like q, T output2 like k) where U: float",
             "axes = Constant <value_ints = [1]> () "
             "sine = Sin(emb) sine_all = Unsqueeze(sine, axes) "
             "sine_like = CastLike(sine_all, q) "
             "cosine = Cos(emb) cosine_all = Unsqueeze(cosine, axes) "
             "cosine_like = CastLike(cosine_all, q) "
             "q_left = Mul(q, cosine_like) q_right = Mul(q_rot, sine_like) "
             "output1 = Add(q_left, q_right) "
             "k_left = Mul(k, cosine_like) k_right = Mul(k_rot, sine_like) "
             "output2 = Add(k_left, k_right)");
}
