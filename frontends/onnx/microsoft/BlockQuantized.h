// Matrices of few bits an element, with a scale for each block of a row.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx::microsoft {

struct BlockQuantized {
  Tensor bytes;  ///< rows of blocks; in a byte, the first element is lowest
  Tensor scales; ///< [rows, blocks]
  /// Numbers [rows, blocks], or uint8 packed as the elements are; empty: half
  /// of the range.
  Tensor zeros;
  Extent rows, columns;
  int64_t bits, blockSize;
  /// Of the model: the least accurate type that the rows may be rounded to.
  int64_t accuracy = 0;
};

/// The level at which rows become bytes.
constexpr int64_t kByteAccuracy = 4;

/// x · wᵀ for a matrix x.
Tensor timesBlocks(const Core &c, const Tensor &x, const BlockQuantized &w);

/// The elements of so many bits that bytes hold, the first of a byte in its low
/// bits: the last dim grows.
Tensor unpackLast(const Core &c, const Tensor &bytes, int64_t bits);

} // namespace fulgur::onnx::microsoft
