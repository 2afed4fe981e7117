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

/// The windows that a node's attributes describe, one for each of the dims of
/// `x` behind the first two.
SmallVector<Window, 3> windowsOf(const Core &c, const Site &s, const Tensor &x,
                                 ArrayRef<int64_t> kernel);

/// `x` with `number` around it as the windows need.
Tensor padFor(const Core &c, const Tensor &x, ArrayRef<Window> windows,
              const Element &number);

/// The convolution of `x` [batch, channels, dims...] with `weights` [filters,
/// channels/groups, kernel...] as the node's attributes want it; the bias may
/// be left out.
Tensor convolution(const Core &c, const Site &s, const Tensor &x,
                   const Tensor &weights, const Tensor &bias);

} // namespace fulgur::onnx
