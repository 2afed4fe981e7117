// Attention, for all operators that are one: which keys a query sees and what
// is added to the scores is up to them, the computation is here.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// What attention is computed from: softmax(scale · query · keyᵀ + ...) · value
/// for every head (Vaswani et al., Attention Is All You Need, 2017).
struct Attention {
  Tensor query; ///< [batch, heads, queries, size]
  /// [batch, key heads, keys, size]; a key head serves heads / key heads of the
  /// heads in a row (Ainslie et al., GQA, 2023).
  Tensor key;
  Tensor value;       ///< [batch, key heads, keys, value size]
  double scale = 0;   ///< 0 is 1/√size
  double softcap = 0; ///< if not 0, scores become softcap · tanh(score/softcap)
  /// Added to the scores; broadcast to [batch, heads, queries, keys].
  SmallVector<Tensor> biases;
  Tensor visible; ///< BOOL, broadcasts likewise: false hides a key from a query
  bool allSee = false; ///< every query sees a key
  /// [heads], one more logit a row, whose share of the weights goes to no
  /// value; may be left out.
  Tensor sink;
};

struct AttentionResult {
  Tensor output;  ///< [batch, heads, queries, value size]
  Tensor scores;  ///< what softmax is taken of
  Tensor weights; ///< and what it makes of that
};

AttentionResult attention(const Core &c, const Attention &a);

/// [batch, length, heads · size] as [batch, heads, length, size], and back.
Tensor splitHeads(const Core &c, const Tensor &x, int64_t heads);
Tensor mergeHeads(const Core &c, const Tensor &x);

/// The keys or values that were there before, and new ones behind them: rows
/// [0, length) of `past` [batch, heads, rows, size], then those of `fresh`, up
/// to `size` rows. What is behind that is what `past` has there if it is a
/// buffer to be `kept`, else zeros. `length` is an integer for each of the
/// batch.
Tensor appendRows(const Core &c, const Tensor &past, const Tensor &fresh,
                  const Tensor &length, const Extent &size, bool kept);

/// The same in a buffer that is longer than all rows: those of `fresh` are
/// inserted, everything else stays.
Tensor insertRows(const Core &c, const Tensor &buffer, const Tensor &fresh,
                  const Tensor &length);

/// Numbers in pairs turned by angles (Su et al., RoFormer, 2021): the first
/// `size` elements of the last dim of [batch, heads, length, head size], each
/// paired with the one `size`/2 behind it, or with its neighbour if
/// `interleaved`. `cosine` and `sine` broadcast to [batch, heads, length,
/// size/2].
Tensor rotatePairs(const Core &c, const Tensor &x, const Tensor &cosine,
                   const Tensor &sine, int64_t size, bool interleaved);

} // namespace fulgur::onnx
