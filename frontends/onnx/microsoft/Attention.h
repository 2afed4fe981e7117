// What ONNX Runtime's Attention and its quantized form share.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx::microsoft {

/// Attention of queries, keys and values that stand side by side in `all`
/// [batch, length, widths], with the node's attributes; mask, cache, bias of
/// the scores and length of the cache may be empty. Results are the output and,
/// if wanted, the cache.
SmallVector<Tensor> projectedAttention(const Core &c, const Site &s,
                                       const Tensor &all, const Tensor &mask,
                                       const Tensor &past,
                                       const Tensor &scoreBias,
                                       const Tensor &length);

} // namespace fulgur::onnx::microsoft
