// What ONNX Runtime's attention operators call a mask.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx::microsoft {

/// The sizes that a mask speaks of.
struct MaskSizes {
  Extent batch, queries, keys;
  Tensor past; ///< how many of the keys come before the queries: [] or [batch]
};

/// The mask, in any of its forms, as a bias of `filter` where a key is hidden:
/// - [batch]: how many keys there are; also the start of [3 · batch + 2]
/// - [2 · batch]: the ends of the keys, then their starts
/// - [batch, keys], [batch, queries, keys], [batch, 1, most, most]: 0 hides
/// Empty if it hides nothing.
Tensor maskBias(const Core &c, const Tensor &mask, const MaskSizes &sizes,
                double filter, DType type);

/// BOOL [batch or 1, 1, queries, keys]: whether the key is no later than the
/// query.
Tensor causal(const Core &c, const MaskSizes &sizes);

/// A number in each of the batch, or one for all of them, so that it broadcasts
/// to [batch, heads, queries, keys].
Tensor perBatch(const Core &c, const Tensor &x);

} // namespace fulgur::onnx::microsoft
