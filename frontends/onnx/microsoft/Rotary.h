// Rotary embeddings with angles looked up by position.
#pragma once
#include "frontends/onnx/Attention.h"

namespace fulgur::onnx::microsoft {

/// Cosines and sines of positions, and how they turn numbers.
struct Rotation {
  Tensor cosine, sine; ///< tables [positions, size/2]
  int64_t size;        ///< elements of a head that are turned
  bool interleaved;
};

/// Turns [batch, heads, length, size] at the positions [batch or 1, length].
Tensor rotate(const Core &c, const Tensor &x, const Rotation &rotation,
              const Tensor &positions);

} // namespace fulgur::onnx::microsoft
