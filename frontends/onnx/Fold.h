// Reductions whose elements are not those of one tensor: sums over a window of
// positions that are computed, as in resampling and in gradients of windows.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// One step: the operands' elements, the coordinates (those of the result, then
/// those of the reduced loops) and what was folded so far.
using FoldStep = llvm::function_ref<Scalar(
    Body &, ArrayRef<Scalar> in, ArrayRef<Scalar> at, const Scalar &total)>;

/// For each element of `shape`, folds over loops of the sizes `reduced` into
/// one that starts as `start`. The operands broadcast to the result's dims
/// followed by the reduced ones.
Tensor fold(const Core &c, ArrayRef<Extent> shape, ArrayRef<Extent> reduced,
            DType type, const Element &start, ArrayRef<Tensor> in,
            FoldStep step);

/// A real number as a coordinate between `low` and `high`, which are whole and
/// not below -2^62; NaN is `low`.
Scalar boundedIndex(const Scalar &x, const Extent &low, const Extent &high);

/// The type in which numbers are weighted: floating point with at least the
/// precision of 32 bits.
DType weightType(DType type);
/// A weighted number as an element of `type`: integers are rounded, halves to
/// even, and saturate.
Scalar saturated(const Scalar &x, DType type);

} // namespace fulgur::onnx
