#include "frontends/onnx/RuntimeAxes.h"

using namespace fulgur::onnx;

std::optional<SmallVector<int64_t>>
fulgur::onnx::constants(ArrayRef<Extent> numbers) {
  SmallVector<int64_t> result;
  for (const Extent &number : numbers) {
    if (!number.constant())
      return std::nullopt;
    result.push_back(*number.constant());
  }
  return result;
}

RuntimeAxes::RuntimeAxes(const Core &c, ArrayRef<Extent> given, int64_t rank) {
  Atoms &atoms = c.sizes.atoms;
  flags.assign(rank, 0);
  if (std::optional<SmallVector<int64_t>> known = constants(given)) {
    for (int64_t axis : c.axes(*known, rank)) {
      axes.push_back(axis);
      flags[axis] = 1;
    }
    return;
  }
  for (const Extent &axis : given) {
    std::string message = ("axis '" + atoms.text(axis) +
                           "' must be inside a tensor of rank " + Twine(rank))
                              .str();
    c.sizes.requireAtLeast(axis, -rank, message, c.loc);
    c.sizes.requireAtLeast(rank - 1, axis, message, c.loc);
    axes.push_back(atoms.select(atoms.less(axis, 0), axis + rank, axis));
    for (int64_t k = 0; k < rank; ++k)
      flags[k] += atoms.equal(axes.back(), k);
  }
  if (axes.size() > 1)
    for (auto [k, flag] : llvm::enumerate(flags))
      c.sizes.requireAtLeast(1, flag, "axis " + Twine(k) + " is named twice",
                             c.loc);
}

Extent RuntimeAxes::choose(const Core &c, size_t which, int64_t dim,
                           const Extent &a, const Extent &b) const {
  Atoms &atoms = c.sizes.atoms;
  return atoms.select(atoms.equal(axes[which], dim), a, b);
}

Shape RuntimeAxes::replaced(const Core &c, ArrayRef<Extent> shape,
                            Extent by) const {
  Shape result;
  for (auto [flag, size] : llvm::zip(flags, shape))
    result.push_back(c.sizes.atoms.select(flag, by, size));
  return result;
}

Shape RuntimeAxes::without(const Core &c, ArrayRef<Extent> shape) const {
  Atoms &atoms = c.sizes.atoms;
  int64_t left = shape.size() - axes.size();
  Shape result(std::max<int64_t>(left, 0), 1);
  // The dim that stands at a place of the result is the one before which so
  // many are left; the axes can shift it by their number.
  Extent before = 0;
  for (auto [k, size] : llvm::enumerate(shape)) {
    Extent stays = Extent(1) - flags[k];
    for (int64_t to = std::max<int64_t>(k - axes.size(), 0);
         to < std::min<int64_t>(k + 1, left); ++to)
      result[to] =
          atoms.select(stays * atoms.equal(before, to), size, result[to]);
    before += stays;
  }
  return result;
}

Shape RuntimeAxes::with(const Core &c, ArrayRef<Extent> shape) const {
  Atoms &atoms = c.sizes.atoms;
  Shape result;
  Extent before = 0; // dims of the shape that are placed already
  for (const Extent &flag : flags) {
    Extent size = 1;
    for (auto [k, own] : llvm::enumerate(shape))
      size = atoms.select(atoms.equal(before, k), own, size);
    result.push_back(atoms.select(flag, 1, size));
    before += Extent(1) - flag;
  }
  return result;
}

Tensor RuntimeAxes::reshape(const Core &c, const Tensor &x,
                            ArrayRef<Extent> shape) {
  c.sizes.atoms.unite(product(shape), product(x.shape));
  return c.reshape(x, shape);
}

Shape fulgur::onnx::aroundAxis(const Core &c, ArrayRef<Extent> shape,
                               const Extent &axis) {
  Atoms &atoms = c.sizes.atoms;
  Extent before = 1, on = 1, behind = 1;
  for (auto [k, size] : llvm::enumerate(shape)) {
    int64_t dim = k;
    before *= atoms.select(atoms.less(dim, axis), size, 1);
    on = atoms.select(atoms.equal(axis, dim), size, on);
    behind *= atoms.select(atoms.less(axis, dim), size, 1);
  }
  return {before, on, behind};
}
