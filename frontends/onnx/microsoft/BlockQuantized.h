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
};

/// x · wᵀ for a matrix x.
Tensor timesBlocks(const Core &c, const Tensor &x, const BlockQuantized &w);

/// The elements of so many bits that bytes hold, the first of a byte in its low
/// bits: the last dim grows.
Tensor unpackLast(const Core &c, const Tensor &bytes, int64_t bits);

} // namespace fulgur::onnx::microsoft
