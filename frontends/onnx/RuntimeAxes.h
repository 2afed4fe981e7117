// Axes that may be numbers of the data. What an op does along its axes is then
// written for every dim, with a choice by whether the dim is one of them.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// The numbers, if all are constant.
std::optional<SmallVector<int64_t>> constants(ArrayRef<Extent> numbers);

/// The axes of a tensor of some rank, counted from the front, each inside the
/// rank and named once.
struct RuntimeAxes {
  RuntimeAxes(const Core &c, ArrayRef<Extent> axes, int64_t rank);

  Shape axes;
  Shape flags; ///< for every dim 1 if it is one of the axes, else 0

  /// `a` if the axis with the number `which` is the dim, else `b`.
  Extent choose(const Core &c, size_t which, int64_t dim, const Extent &a,
                const Extent &b) const;
  /// The shape with 1 (or another size) in place of the axes.
  Shape replaced(const Core &c, ArrayRef<Extent> shape, Extent by = 1) const;
  /// The shape without the axes.
  Shape without(const Core &c, ArrayRef<Extent> shape) const;
  /// The shape with dims of size 1 added, which then are the axes.
  Shape with(const Core &c, ArrayRef<Extent> shape) const;
  /// Gives `x` a shape that one of these functions made of its own, without a
  /// further check.
  static Tensor reshape(const Core &c, const Tensor &x, ArrayRef<Extent> shape);
};

/// The sizes of what is before, on and behind an axis: the shape of a tensor as
/// one of rank 3, whose second dim is the axis.
Shape aroundAxis(const Core &c, ArrayRef<Extent> shape, const Extent &axis);

} // namespace fulgur::onnx
