// Caches of keys or values that are integers with scales.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx::microsoft {

/// How a cache has its rows [batch, heads, rows, size]: as they are, as signed
/// bytes, or as bytes of two numbers of 4 bits each, the first in the lower
/// half and both 8 greater than they are.
struct CacheForm {
  int64_t bits = 0; ///< 0: rows are as they are
  Tensor scale;     ///< f32; broadcasts to the rows

  /// The form of an operand: `kind` is "NONE", "PER_TENSOR" or "PER_CHANNEL".
  CacheForm(const Core &c, StringRef kind, int64_t bits, const Tensor &cache,
            const Tensor &scale);
  /// Rows as the cache has them: round(x / scale), saturated.
  Tensor encoded(const Core &c, const Tensor &rows) const;
  /// The numbers that rows of the cache stand for; of each, `size` are known.
  Tensor decoded(const Core &c, const Tensor &rows, const Extent &size) const;
};

} // namespace fulgur::onnx::microsoft
