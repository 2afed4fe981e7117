// Ops that move elements and compute none.
#include "frontends/onnx/Core.h"

using namespace fulgur::onnx;

namespace {
/// 0 keeps the input's dim, -1 stands for whatever is left.
Tensor importReshape(const Core &c, const Site &s) {
  Tensor x = s[0];
  Atoms &atoms = c.sizes.atoms;
  Shape shape = s[1] ? s.extents(1) : Shape();
  if (!s[1])
    for (int64_t size : s.integers("shape"))
      shape.push_back(size);
  std::optional<size_t> open;
  bool keepZero = s.integer("allowzero", 0);
  for (size_t k = 0; k < shape.size(); ++k) {
    if (shape[k].is(0) && !keepZero) {
      if (int64_t(k) >= x.rank())
        c.fail("dim " + Twine(k) +
               " of the new shape copies one that a tensor of rank " +
               Twine(x.rank()) + " does not have");
      shape[k] = x.shape[k];
    } else if (shape[k].is(-1)) {
      if (open)
        c.fail("the new shape has more than one -1");
      open = k;
    }
  }
  if (open) {
    shape[*open] = 1;
    Extent rest = atoms.simplify(product(shape)),
           all = atoms.simplify(product(x.shape));
    if (rest.is(0))
      c.fail("-1 in a shape with a 0 could be anything");
    std::optional<Extent> exact = all.divideExactly(rest);
    shape[*open] = exact ? *exact : atoms.floorDiv(all, rest);
  }
  return c.reshape(x, shape);
}

Tensor importFlatten(const Core &c, const Site &s) {
  int64_t axis = s.integer("axis", 1), rank = s[0].rank();
  axis = axis == rank ? rank : c.axis(axis, std::max<int64_t>(rank, 1));
  return c.reshape(s[0], {product(ArrayRef(s[0].shape).take_front(axis)),
                          product(ArrayRef(s[0].shape).drop_front(axis))});
}

Tensor importSqueeze(const Core &c, const Site &s) {
  if (std::optional<SmallVector<int64_t>> axes = s.integers(1, "axes"))
    return c.squeeze(s[0], *axes);
  SmallVector<int64_t> ones;
  for (int64_t k = 0; k < s[0].rank(); ++k)
    if (s[0].shape[k].is(1))
      ones.push_back(k);
  return c.squeeze(s[0], ones);
}

Tensor importUnsqueeze(const Core &c, const Site &s) {
  std::optional<SmallVector<int64_t>> axes = s.integers(1, "axes");
  if (!axes)
    c.fail("input 'axes' is missing");
  return c.unsqueeze(s[0], *axes);
}

Tensor importTranspose(const Core &c, const Site &s) {
  SmallVector<int64_t> permutation = s.integers("perm");
  if (!s.has("perm"))
    for (int64_t k = s[0].rank(); k-- > 0;)
      permutation.push_back(k);
  if (int64_t(permutation.size()) != s[0].rank())
    c.fail("attribute 'perm' has " + Twine(permutation.size()) +
           " entries for a tensor of rank " + Twine(s[0].rank()));
  return c.transpose(s[0], c.axes(permutation, s[0].rank()));
}

Tensor importConcat(const Core &c, const Site &s) {
  SmallVector<Tensor> parts;
  for (size_t k = 0; k < s.size(); ++k)
    parts.push_back(s[k]);
  return c.concat(parts, c.axis(s.integer("axis", 0), s[0].rank()));
}

/// Sizes are an input, an attribute before opset 13, or equal (the last one
/// smaller).
SmallVector<Tensor> importSplit(const Core &c, const Site &s) {
  int64_t axis = c.axis(s.integer("axis", 0), s[0].rank()),
          count = s.integer("num_outputs", s.outputs());
  Extent size = s[0].shape[axis];
  Shape parts;
  if (s[1])
    parts = s.extents(1);
  else if (s.has("split"))
    for (int64_t part : s.integers("split"))
      parts.push_back(part);
  else {
    Extent chunk = c.sizes.atoms.ceilDiv(size, count);
    for (int64_t k = 0; k + 1 < count; ++k)
      parts.push_back(chunk);
    parts.push_back(size - chunk * (count - 1));
  }
  Extent total;
  for (const Extent &part : parts)
    total += part;
  c.requireEqual(total, size);
  SmallVector<Tensor> results;
  Extent start;
  for (const Extent &part : parts) {
    results.push_back(c.slice(s[0], axis, start, part));
    start = c.sizes.atoms.simplify(start + part);
  }
  return results;
}

/// The position that a bound of a slice names: from the end if it is negative,
/// and inside [low, high].
Extent clampBound(const Core &c, const Extent &bound, const Extent &size,
                  const Extent &low, const Extent &high) {
  Atoms &atoms = c.sizes.atoms;
  if (bound.is(Atoms::kMax))
    return high;
  if (bound.constant() &&
      *bound.constant() <= std::numeric_limits<int64_t>::min() / 2)
    return low;
  bool fromEnd = atoms.upper(bound) < 0;
  if (!fromEnd)
    c.sizes.requireAtLeast(bound, 0,
                           "the bound '" + atoms.text(bound) +
                               "' of a slice must not be negative",
                           c.loc);
  return atoms.max(
      atoms.min(atoms.simplify(fromEnd ? bound + size : bound), high), low);
}

Tensor importSlice(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape starts, ends;
  if (s[1]) {
    starts = s.extents(1);
    ends = s[2] ? s.extents(2) : Shape();
  } else {
    for (int64_t start : s.integers("starts"))
      starts.push_back(start);
    for (int64_t end : s.integers("ends"))
      ends.push_back(end);
  }
  SmallVector<int64_t> axes, steps(starts.size(), 1);
  if (auto given = s.integers(3, "axes"))
    axes = *given;
  else
    for (size_t k = 0; k < starts.size(); ++k)
      axes.push_back(k);
  if (auto given = s.integers(4, "steps"))
    steps = *given;
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size())
    c.fail("starts, ends, axes and steps have different lengths");
  axes = c.axes(axes, x.rank());

  Atoms &atoms = c.sizes.atoms;
  Shape from(x.rank(), 0), size(x.shape);
  SmallVector<int64_t> step(x.rank(), 1);
  for (auto [k, axis] : llvm::enumerate(axes)) {
    Extent all = x.shape[axis];
    if (steps[k] == 0 || steps[k] == std::numeric_limits<int64_t>::min())
      c.fail("a slice with the step " + Twine(steps[k]));
    step[axis] = steps[k];
    bool forward = steps[k] > 0;
    from[axis] = forward ? clampBound(c, starts[k], all, 0, all)
                         : clampBound(c, starts[k], all, 0, all - 1);
    Extent end = forward ? clampBound(c, ends[k], all, 0, all)
                         : clampBound(c, ends[k], all, -1, all - 1);
    Extent distance =
        atoms.simplify(forward ? end - from[axis] : from[axis] - end);
    size[axis] = atoms.max(atoms.ceilDiv(distance, std::abs(steps[k])), 0);
  }
  return c.slice(x, from, size, step);
}

Tensor importExpand(const Core &c, const Site &s) {
  Shape shape = s.extents(1);
  return c.broadcastTo(s[0], c.broadcast(s[0].shape, shape));
}

/// Every dim is repeated as a dim of its own, which then is one with it.
Tensor importTile(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape repeats = s.extents(1), apart, spread, whole;
  if (int64_t(repeats.size()) != x.rank())
    c.fail("input 'repeats' has " + Twine(repeats.size()) +
           " entries for a tensor of rank " + Twine(x.rank()));
  for (int64_t k = 0; k < x.rank(); ++k) {
    apart.append({1, x.shape[k]});
    spread.append({repeats[k], x.shape[k]});
    whole.push_back(repeats[k] * x.shape[k]);
  }
  return c.reshape(c.broadcastTo(c.reshape(x, apart), spread), whole);
}

/// Negative pads cut off; then constants are put around, or elements of the
/// tensor are repeated.
Tensor importPad(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape pads = s[1] ? s.extents(1) : Shape();
  if (!s[1])
    for (int64_t pad : s.integers("pads"))
      pads.push_back(pad);
  SmallVector<int64_t> axes;
  if (auto given = s.integers(3, "axes"))
    axes = c.axes(*given, x.rank());
  else
    for (int64_t k = 0; k < x.rank(); ++k)
      axes.push_back(k);
  if (pads.size() != 2 * axes.size())
    c.fail("input 'pads' has " + Twine(pads.size()) + " entries for " +
           Twine(axes.size()) + " axes");
  Atoms &atoms = c.sizes.atoms;
  Shape low(x.rank(), 0), high(x.rank(), 0), from(x.rank(), 0), size(x.shape),
      padded;
  for (auto [k, axis] : llvm::enumerate(axes)) {
    Extent before = pads[k], behind = pads[axes.size() + k];
    low[axis] = atoms.max(before, 0);
    high[axis] = atoms.max(behind, 0);
    from[axis] = atoms.max(Extent(-1) * before, 0);
    size[axis] = atoms.simplify(size[axis] + atoms.min(before, 0) +
                                atoms.min(behind, 0));
  }
  Tensor inner = c.slice(x, from, size, SmallVector<int64_t>(x.rank(), 1));
  for (int64_t k = 0; k < x.rank(); ++k)
    padded.push_back(atoms.simplify(low[k] + size[k] + high[k]));

  StringRef mode = s.text("mode", "constant");
  if (mode == "constant") {
    if (!s[2] || (s[2].known() && s[2].known()->size() == 1)) {
      Element number =
          s[2] ? s[2].known()->front()
               : Element{int64_t(s.real("value", 0)), s.real("value", 0)};
      return c.pad(inner, low, high, number);
    }
    Tensor number = c.reshape(s[2], {});
    Value table = c.value(inner);
    return c.generate(
        padded, x.type, {number},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          Scalar inside = Scalar::constant(body, DType::boolean, 1);
          SmallVector<Scalar> position;
          for (auto [k, index] : llvm::enumerate(at)) {
            Scalar i = index - Scalar::extent(body, DType::index, low[k]),
                   last = Scalar::extent(body, DType::index, size[k] - 1);
            inside = inside & (i >= 0.0) & (i <= last);
            position.push_back(minimum(maximum(i, i.like(0)), last));
          }
          return select(inside, c.extract(body, table, x.type, position), v[0]);
        });
  }
  Value table = c.value(inner);
  return c.generate(
      padded, x.type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        SmallVector<Scalar> position;
        for (auto [k, index] : llvm::enumerate(at)) {
          if (low[k].is(0) && high[k].is(0)) {
            position.push_back(index);
            continue;
          }
          Scalar i = index - Scalar::extent(body, DType::index, low[k]),
                 count = Scalar::extent(body, DType::index, size[k]),
                 last = count - 1;
          if (mode == "reflect")
            i = last - abs(last - abs(i));
          else if (mode == "wrap")
            i = remainder(remainder(i, count) + count, count);
          else if (mode == "edge")
            i = minimum(maximum(i, i.like(0)), last);
          else
            c.fail("mode '" + mode +
                   "' is not one of constant, reflect, edge, wrap");
          position.push_back(i);
        }
        return c.extract(body, table, x.type, position);
      });
}

/// Zeros above or below a diagonal of the last two dims.
Tensor importTrilu(const Core &c, const Site &s) {
  if (s[0].rank() < 2)
    c.fail("the input has rank " + Twine(s[0].rank()) + ", which is below 2");
  bool upper = s.integer("upper", 1);
  Tensor k = s[1] ? c.reshape(s[1], {}) : c.scalar(DType::i64, 0);
  return c.generate(
      s[0].shape, s[0].type, {s[0], k},
      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar diagonal = at[at.size() - 2] + convert(v[1], DType::index),
               column = at.back();
        return select(upper ? column >= diagonal : column <= diagonal, v[0],
                      v[0].like(0));
      });
}

/// The size divided into `block` parts.
Extent blocksOf(const Core &c, const Extent &size, int64_t block) {
  std::optional<Extent> exact = size.divideExactly(block);
  return exact ? *exact : c.sizes.atoms.floorDiv(size, block);
}

Tensor importDepthToSpace(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t block = s.integer("blocksize", 1);
  if (x.rank() != 4 || block < 1)
    c.fail("needs a tensor of rank 4 and a positive block size, not rank " +
           Twine(x.rank()) + " and " + Twine(block));
  Extent channels = blocksOf(c, x.shape[1], block * block), h = x.shape[2],
         w = x.shape[3];
  Shape whole{x.shape[0], channels, h * block, w * block};
  if (s.text("mode", "DCR") == "DCR")
    return c.reshape(
        c.transpose(c.reshape(x, {x.shape[0], block, block, channels, h, w}),
                    {0, 3, 4, 1, 5, 2}),
        whole);
  return c.reshape(
      c.transpose(c.reshape(x, {x.shape[0], channels, block, block, h, w}),
                  {0, 1, 4, 2, 5, 3}),
      whole);
}

Tensor importSpaceToDepth(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t block = s.integer("blocksize", 1);
  if (x.rank() != 4 || block < 1)
    c.fail("needs a tensor of rank 4 and a positive block size, not rank " +
           Twine(x.rank()) + " and " + Twine(block));
  Extent h = blocksOf(c, x.shape[2], block), w = blocksOf(c, x.shape[3], block);
  Tensor apart = c.reshape(x, {x.shape[0], x.shape[1], h, block, w, block});
  return c.reshape(c.transpose(apart, {0, 3, 5, 1, 2, 4}),
                   {x.shape[0], x.shape[1] * (block * block), h, w});
}
} // namespace

void fulgur::onnx::registerLayout(OpTable &ops) {
  ops["Concat"] = importConcat;
  ops["DepthToSpace"] = importDepthToSpace;
  ops["Expand"] = {importExpand, 2};
  ops["Flatten"] = importFlatten;
  ops["Pad"] = importPad;
  ops["Reshape"] = importReshape;
  ops["Slice"] = importSlice;
  ops["SpaceToDepth"] = importSpaceToDepth;
  ops["Split"] = importSplit;
  ops["Squeeze"] = importSqueeze;
  ops["Tile"] = {importTile, 2};
  ops["Transpose"] = importTranspose;
  ops["Trilu"] = importTrilu;
  ops["Unsqueeze"] = importUnsqueeze;
}
