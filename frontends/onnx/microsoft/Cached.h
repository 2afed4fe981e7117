// What attention of language models that generate has in common: heads that
// share heads of keys, and sequences of which some tokens came in earlier runs.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx::microsoft {

/// Queries [batch, heads, length, size], keys and values [batch, key heads,
/// length, size].
struct GroupedHeads {
  Tensor query, key, value;
};

/// From [batch, length, heads · size] each, or all packed in the queries.
GroupedHeads groupedHeads(const Core &c, const Tensor &query, const Tensor &key,
                          const Tensor &value, int64_t heads, int64_t keyHeads);

/// [batch]: how many tokens of each sequence came in earlier runs. `ends` are
/// how many there are by now, `total` the most of them. A first run has nothing
/// in its cache, however long the buffer is; its sequences may be shorter than
/// the new tokens. In later runs all new tokens count.
Tensor earlierTokens(const Core &c, const Tensor &ends, const Extent &queries,
                     const Extent &total);

/// [batch, queries]: the positions of new tokens.
Tensor positionsFrom(const Core &c, const Tensor &past, const Extent &queries);

/// The number in an integer tensor of one element as a size: known from the
/// model's shape arithmetic, or while running and then at most `most`.
Extent sizeFrom(const Core &c, const Tensor &x, StringRef name,
                const Extent &most);

} // namespace fulgur::onnx::microsoft
