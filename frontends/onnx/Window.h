// Windows that slide over the spatial dims of a tensor: what convolutions and
// pools have in common.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// Along one spatial dim.
struct Window {
  int64_t kernel, stride, dilation;
  Extent low, high; ///< padding
  Extent count;     ///< positions of the window: the size of the result
  bool partial; ///< whether the last window may reach behind the padding that
                ///< the model asks for
  /// The elements that a window spans.
  int64_t reach() const { return (kernel - 1) * dilation + 1; }
};

/// A list attribute with an entry for each dim, all `otherwise` if it is not
/// there; entries must be at least `least`.
SmallVector<int64_t> perDim(const Core &c, const Site &s, StringRef name,
                            size_t dims, int64_t otherwise, int64_t least);

/// The attribute auto_pad, checked.
StringRef autoPad(const Core &c, const Site &s);

/// Requires that the operands of a convolution have the same rank, 3 or more,
/// and the same type.
void requireImageAndWeights(const Core &c, const Tensor &x,
                            const Tensor &weights);

/// The sizes of a convolution's kernel: the weights' dims behind the first two,
/// which must be constants, or required to be what the attribute kernel_shape
/// says; then the weights get these.
SmallVector<int64_t> kernelOf(const Core &c, const Site &s, Tensor &weights);

/// Adds a number for each channel (dim 1).
Tensor addBias(const Core &c, const Tensor &y, const Tensor &bias);

/// The windows that a node's attributes describe, one for each of the dims of
/// `x` behind the first two.
SmallVector<Window, 3> windowsOf(const Core &c, const Site &s, const Tensor &x,
                                 ArrayRef<int64_t> kernel);

/// `x` with `number` around its last dims as the windows over them need.
Tensor padFor(const Core &c, const Tensor &x, ArrayRef<Window> windows,
              const Element &number);

/// The convolution of `x` [batch, channels, dims...] with `weights` [filters,
/// channels/groups, kernel...] as the node's attributes want it; the bias may
/// be left out.
Tensor convolution(const Core &c, const Site &s, const Tensor &x,
                   const Tensor &weights, const Tensor &bias);

/// The same for windows that are known already, and weights [filters,
/// channels/groups, kernel...]: the sums, in the type that they are computed
/// in.
Tensor convolve(const Core &c, const Tensor &x, const Tensor &weights,
                ArrayRef<Window> windows, int64_t groups);

/// AveragePool of `x`, whose channels are dim 1: the sum of each window divided
/// by the number of elements that count.
Tensor averagePool(const Core &c, const Site &s, const Tensor &x);

} // namespace fulgur::onnx
