// A transposed convolution as ordinary ones: every stride-th element of its
// result is a convolution of the input with some of the weights.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {
/// The windows over one dim of an image that they are added up to.
struct Cover {
  Extent kernel;
  int64_t stride, dilation;
  Extent low;   ///< padding in front of the image
  Extent count; ///< of windows
  Extent size;  ///< of the image
  /// How many elements of a window have to be looked at. Without dilation, only
  /// every `stride`-th one can meet an element.
  Extent taps(Atoms &atoms) const {
    return dilation == 1 ? atoms.ceilDiv(kernel, stride) : kernel;
  }
};

/// The transposed convolution of `x` [batch, channels, windows...] with
/// `weights` [channels, filters/groups, kernel...], and the bias, which may be
/// left out, in the type that sums are computed in. Nothing where paddings
/// depend on sizes that are not known.
std::optional<Tensor> convolveByPhases(const Core &c, const Tensor &x,
                                       const Tensor &weights,
                                       const Tensor &bias,
                                       ArrayRef<Cover> covers, int64_t groups);
} // namespace fulgur::onnx
