// Words and runs of them. Of a word, its characters: a convolution over each
// word's characters and the greatest value of each filter (Kim et al.,
// Character-Aware Neural Language Models, 2016).
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
/// Words [words, length] of characters, 0 behind a word's end; a word whose
/// first character is 0 is none, and gives zeros.
Tensor importWordConvEmbedding(const Core &c, const Site &s) {
  Tensor words = s[0], filters = s[1], bias = s[2], table = s[3];
  if (words.rank() != 2 || filters.rank() != 4 || table.rank() != 2)
    c.fail("words, filters and characters have the ranks " +
           Twine(words.rank()) + ", " + Twine(filters.rank()) + " and " +
           Twine(table.rank()) + ", not 2, 4 and 2");
  Extent count = words.shape[0], length = words.shape[1],
         filterCount = filters.shape[0], window = filters.shape[2],
         size = table.shape[1];
  c.requireEqual(filters.shape[1], 1);
  c.requireEqual(filters.shape[3], size);
  c.sizes.requireAtLeast(length, window,
                         "'" + c.sizes.atoms.text(length) +
                             "' characters must be at least the " +
                             c.sizes.atoms.text(window) + " of a filter",
                         c.loc);
  Tensor used = c.sum(
      c.map({words}, DType::i64,
            [](ArrayRef<Scalar> v) { return convert(v[0] > 0, DType::i64); }),
      {1}, false);
  // Filters see no character behind the word, unless it is shorter than they.
  auto reach = [&](Body &body, const Scalar &characters) {
    return maximum(characters, Scalar::extent(body, DType::i64, window));
  };
  mlir::Value characters = c.value(c.gather(table, words, 0, s.nameOf(3)));
  Extent places = length - window + 1;
  Tensor windows =
      c.generate({count, places, window, size}, table.type, {},
                 [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                   return c.extract(body, characters, table.type,
                                    {at[0], at[1] + at[2], at[3]});
                 });
  Tensor products =
      c.matmul2d(c.reshape(windows, {count * places, window * size}),
                 c.reshape(filters, {filterCount, window * size}), true);
  Element none = lowest(table.type);
  Tensor seen = c.generate(
      {count, places, filterCount}, table.type,
      {c.reshape(products, {count, places, filterCount}),
       c.unsqueeze(used, {1, 2})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar last = convert(at[1], DType::i64) +
                      Scalar::extent(body, DType::i64, window);
        return select(last <= reach(body, v[1]), v[0], v[0].like(none.real));
      });
  Tensor first = c.slice(words, 1, 0, 1);
  return c.map({c.max(seen, {1}, false), bias, first}, table.type,
               [](ArrayRef<Scalar> v) {
                 return select(v[2] > 0, tanh(v[0] + v[1]), v[0].like(0));
               });
}

/// Scores of tokens that would repeat one of the runs of tokens that there are
/// become -infinity.
Tensor importRepeatBlock(const Core &c, const Site &s) {
  Tensor tokens = s[0], scores = s[1];
  int64_t size = s.integer("ngram_size", 0);
  if (tokens.rank() != 2 || scores.rank() != 2 || size < 1)
    c.fail("tokens and scores have the shapes " + c.text(tokens.shape) +
           " and " + c.text(scores.shape) + " and runs the size " +
           Twine(size) + "; needs matrices and a positive size");
  c.requireEqual(tokens.shape[0], scores.shape[0]);
  const Extent &batch = tokens.shape[0], &length = tokens.shape[1];
  if (std::optional<int64_t> known = length.constant(); known && *known < size)
    return scores;
  c.sizes.requireAtLeast(length, size,
                         "'" + c.sizes.atoms.text(length) +
                             "' tokens must be at least the " + Twine(size) +
                             " of a run",
                         c.loc);
  Extent runs = length - size + 1;
  mlir::Value table = c.value(tokens);
  // The token that ended each run which began as the sequence ends; -1: none.
  Tensor ends =
      c.generate({batch, runs}, tokens.type, {},
                 [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                   auto token = [&](const Scalar &place) {
                     return c.extract(body, table, tokens.type, {at[0], place});
                   };
                   Scalar all = Scalar::extent(body, DType::index, length);
                   Scalar end = token(at[1] + double(size - 1)), result = end;
                   for (int64_t k = 0; k < size - 1; ++k)
                     result = select(equal(token(at[1] + double(k)),
                                           token(all - double(size - 1 - k))),
                                     result, end.like(-1));
                   return result;
                 });
  Tensor blocked = c.generate(
      {batch, scores.shape[1], runs}, DType::boolean, {c.unsqueeze(ends, {1})},
      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return equal(v[0], convert(at[1], tokens.type));
      });
  Tensor any =
      c.reduce(blocked, {2}, false, DType::boolean, {},
               [](const Scalar &v, const Scalar &so) { return v | so; });
  double infinity = std::numeric_limits<double>::infinity();
  return c.map({any, scores}, scores.type, [&](ArrayRef<Scalar> v) {
    return select(v[0], v[1].like(-infinity), v[1]);
  });
}
} // namespace

void microsoft::words(Extensions &ops) {
  ops.add("WordConvEmbedding <char_embedding_size: int?, "
          "conv_window_size: int?, embedding_size: int?> (int32 Sequence, "
          "T W, T B, T C) => (T Y) where T: float",
          importWordConvEmbedding);
  ops.add("NGramRepeatBlock <ngram_size: int> (int64 input_ids, T scores) "
          "=> (T scores_out like scores) where T: float",
          importRepeatBlock);
}
