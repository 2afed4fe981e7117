// Ops that move elements and compute none.
#include "frontends/onnx/Core.h"
#include "frontends/onnx/RuntimeAxes.h"

using namespace fulgur::onnx;

namespace {
/// Where numbers of the new shape are known only before a run, what a 0 and a
/// -1 stand for is a choice between sizes.
Tensor reshapeByData(const Core &c, const Site &s, ArrayRef<Extent> given) {
  Tensor x = s[0];
  Atoms &atoms = c.sizes.atoms;
  bool keepZero = s.integer("allowzero", 0);
  Shape shape;
  Extent open = 0; // how many are -1
  Extent rest = 1; // the product of the others
  SmallVector<Extent> isOpen;
  for (auto [k, size] : llvm::enumerate(given)) {
    std::string name =
        ("dim " + Twine(k) + " of the new shape, '" + atoms.text(size) + "',")
            .str();
    c.sizes.requireAtLeast(size, -1, name + " must be at least -1", c.loc);
    isOpen.push_back(atoms.equal(size, -1));
    open += isOpen.back();
    Extent copied = size;
    if (!keepZero && int64_t(k) < x.rank())
      copied = atoms.select(atoms.equal(size, 0), x.shape[k], size);
    else if (!keepZero)
      c.sizes.requireAtLeast(1, atoms.equal(size, 0) + 1,
                             name + " copies one that a tensor of rank " +
                                 Twine(x.rank()) + " does not have",
                             c.loc);
    shape.push_back(atoms.select(isOpen.back(), 1, copied));
    int64_t least = keepZero ? 0 : 1;
    if (int64_t(k) < x.rank())
      least = std::min(least, atoms.lower(x.shape[k]));
    atoms.restrict(shape.back(), least, Atoms::kMax);
    rest *= shape.back();
  }
  c.sizes.requireAtLeast(1, open, "the new shape has more than one -1", c.loc);
  if (!open.is(0)) {
    Extent all = product(x.shape);
    if (keepZero)
      c.sizes.requireAtLeast(rest, open,
                             "-1 in a shape with a 0 could be anything", c.loc);
    Extent inferred = atoms.floorDiv(all, atoms.max(rest, 1));
    for (auto [size, one] : llvm::zip(shape, isOpen))
      size = atoms.select(one, inferred, size);
  }
  return c.reshape(x, shape);
}

/// 0 keeps the input's dim, -1 stands for whatever is left.
Tensor importReshape(const Core &c, const Site &s) {
  Tensor x = s[0];
  Atoms &atoms = c.sizes.atoms;
  Shape shape = s[1] ? s.extents(1) : Shape();
  if (!s[1])
    for (int64_t size : s.integers("shape"))
      shape.push_back(size);
  if (llvm::any_of(shape, [&](const Extent &size) {
        return atoms.isData(size) && atoms.lower(size) < 1;
      }))
    return reshapeByData(c, s, shape);
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
  if (std::optional<Shape> axes = s.numbers(1, "axes")) {
    if (std::optional<SmallVector<int64_t>> known = constants(*axes))
      return c.squeeze(s[0], *known);
    RuntimeAxes runtime(c, *axes, s[0].rank());
    for (auto [flag, size] : llvm::zip(runtime.flags, s[0].shape))
      c.sizes.requireEqual(c.sizes.atoms.select(flag, size, 1), 1,
                           "a dim that is removed has the size '" +
                               c.sizes.atoms.text(size) + "', not 1",
                           c.loc);
    return runtime.reshape(c, s[0], runtime.without(c, s[0].shape));
  }
  SmallVector<int64_t> ones;
  for (auto [k, size] : llvm::enumerate(s[0].shape))
    if (size.is(1))
      ones.push_back(k);
    else // the number of dims must be known before a run
      c.sizes.requireAtLeast(c.sizes.atoms.equal(size, 1) * -1, 0,
                             "'" + c.sizes.atoms.text(size) +
                                 "' must not be 1: without axes, the dim "
                                 "would be removed",
                             c.loc);
  return c.squeeze(s[0], ones);
}

Tensor importUnsqueeze(const Core &c, const Site &s) {
  std::optional<Shape> axes = s.numbers(1, "axes");
  if (!axes)
    c.fail("input 'axes' is missing");
  if (std::optional<SmallVector<int64_t>> known = constants(*axes))
    return c.unsqueeze(s[0], *known);
  RuntimeAxes runtime(c, *axes, s[0].rank() + axes->size());
  return runtime.reshape(c, s[0], runtime.with(c, s[0].shape));
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
    parts = s.sizes(1);
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
  if (atoms.isData(bound) && atoms.lower(bound) < 0 &&
      atoms.upper(bound) >= 0) {
    // First towards the tensor, so that counting from its end does not wrap.
    Extent near = atoms.max(atoms.min(bound, size), Extent(-1) - size);
    Extent counted = atoms.select(atoms.less(near, 0), near + size, near);
    return atoms.max(atoms.min(counted, high), low);
  }
  bool fromEnd = atoms.upper(bound) < 0;
  if (!fromEnd)
    c.sizes.requireAtLeast(bound, 0,
                           "the bound '" + atoms.text(bound) +
                               "' of a slice must not be negative",
                           c.loc);
  return atoms.max(
      atoms.min(atoms.simplify(fromEnd ? bound + size : bound), high), low);
}

/// What a slice takes of one dim.
struct Cut {
  Extent start = 0, end, step = 1;
};

/// From where, how many and in which steps elements are taken of a dim.
Cut resolve(const Core &c, const Cut &cut, const Extent &all, Extent &size) {
  Atoms &atoms = c.sizes.atoms;
  auto from = [&](bool forward) {
    return clampBound(c, cut.start, all, 0, forward ? all : all - 1);
  };
  auto distance = [&](bool forward) {
    Extent end = forward ? clampBound(c, cut.end, all, 0, all)
                         : clampBound(c, cut.end, all, -1, all - 1);
    return atoms.simplify(forward ? end - from(true) : from(false) - end);
  };
  Extent start, stride, reach;
  if (std::optional<int64_t> step = cut.step.constant()) {
    start = from(*step > 0);
    reach = distance(*step > 0);
    stride = std::abs(*step);
  } else {
    Extent backward = atoms.less(cut.step, 0);
    start = atoms.select(backward, from(false), from(true));
    reach = atoms.select(backward, distance(false), distance(true));
    stride = atoms.max(cut.step, Extent(-1) * cut.step);
    c.sizes.requireAtLeast(stride, 1, "a slice with the step 0", c.loc);
  }
  size = atoms.max(atoms.ceilDiv(reach, stride), 0);
  // Backwards, the bounds alone leave one element of a tensor that has none.
  if (!atoms.knownAtLeast(cut.step, 1) && !atoms.knownAtLeast(all, 1))
    size = atoms.min(size, all);
  return {start, cut.end, cut.step};
}

/// Starts or ends of the first axes, as many as the run gives; the others get
/// `number`.
Shape boundsOfAll(const Core &c, const Site &s, size_t input, int64_t rank,
                  double number) {
  Tensor given = s[input];
  if (!given || given.rank() != 1)
    c.fail("starts and ends must be vectors");
  c.sizes.requireAtLeast(rank, given.shape[0],
                         "'" + s.nameOf(input) + "' must have at most " +
                             Twine(rank) + " elements",
                         c.loc);
  Tensor longer = c.concat({given, c.fill({rank}, given.type, number)}, 0);
  return c.dataExtents(c.slice(longer, 0, 0, rank), s.nameOf(input));
}

Tensor importSlice(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape starts, ends;
  bool isCounted = !s[1] || s[3] || s[1].rank() != 1 ||
                   s[1].shape[0].constant() || s[1].known();
  if (!isCounted) {
    starts = boundsOfAll(c, s, 1, x.rank(), 0);
    ends = boundsOfAll(c, s, 2, x.rank(), std::numeric_limits<int32_t>::max());
  } else if (s[1]) {
    starts = s.extents(1);
    ends = s[2] ? s.extents(2) : Shape();
  } else {
    for (int64_t start : s.integers("starts"))
      starts.push_back(start);
    for (int64_t end : s.integers("ends"))
      ends.push_back(end);
  }
  Shape axes, steps(starts.size(), 1);
  if (auto given = s.numbers(3, "axes"))
    axes = *given;
  else
    for (size_t k = 0; k < starts.size(); ++k)
      axes.push_back(k);
  if (auto given = s.numbers(4, "steps"))
    steps = *given;
  if (ends.size() != starts.size() || axes.size() != starts.size() ||
      steps.size() != starts.size())
    c.fail("starts, ends, axes and steps have different lengths");
  for (const Extent &step : steps)
    if (step.is(0) || step.is(std::numeric_limits<int64_t>::min()))
      c.fail("a slice with the step " + c.sizes.atoms.text(step));

  SmallVector<Cut> cuts;
  for (const Extent &size : x.shape)
    cuts.push_back({0, size, 1});
  RuntimeAxes named(c, axes, x.rank());
  for (size_t j = 0; j < axes.size(); ++j)
    for (int64_t k = 0; k < x.rank(); ++k) {
      cuts[k].start = named.choose(c, j, k, starts[j], cuts[k].start);
      cuts[k].end = named.choose(c, j, k, ends[j], cuts[k].end);
      cuts[k].step = named.choose(c, j, k, steps[j], cuts[k].step);
    }
  Shape from, size(x.shape);
  SmallVector<int64_t> step;
  for (int64_t k = 0; k < x.rank(); ++k) {
    bool whole =
        cuts[k].start.is(0) && cuts[k].end == x.shape[k] && cuts[k].step.is(1);
    if (!whole)
      cuts[k] = resolve(c, cuts[k], x.shape[k], size[k]);
    from.push_back(cuts[k].start);
    step.push_back(cuts[k].step.constant().value_or(0));
  }
  if (!llvm::is_contained(step, 0))
    return c.slice(x, from, size, step);
  Value table = c.value(x);
  return c.generate(
      size, x.type, {}, [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        SmallVector<Scalar> place;
        auto extent = [&](const Extent &e) {
          return Scalar::extent(body, DType::index, e);
        };
        for (auto [index, cut] : llvm::zip(at, cuts))
          place.push_back(extent(cut.start) + index * extent(cut.step));
        return c.extract(body, table, x.type, place);
      });
}

Tensor importExpand(const Core &c, const Site &s) {
  Shape shape = s.sizes(1);
  return c.broadcastTo(s[0], c.broadcast(s[0].shape, shape));
}

/// Every dim is repeated as a dim of its own, which then is one with it.
Tensor importTile(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape repeats = s.sizes(1), apart, spread, whole;
  if (s[2]) { // opset 1: so many times along one axis
    auto axis = s.integers(2, "axis");
    if (repeats.size() != 1 || axis->size() != 1)
      c.fail("needs one number of tiles and one axis");
    Extent count = repeats[0];
    repeats.assign(x.rank(), 1);
    repeats[c.axis(axis->front(), x.rank())] = count;
  }
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
  Shape axes;
  if (auto given = s.numbers(3, "axes"))
    axes = *given;
  else
    for (int64_t k = 0; k < x.rank(); ++k)
      axes.push_back(k);
  if (pads.size() != 2 * axes.size())
    c.fail("input 'pads' has " + Twine(pads.size()) + " entries for " +
           Twine(axes.size()) + " axes");
  Atoms &atoms = c.sizes.atoms;
  Shape low(x.rank(), 0), high(x.rank(), 0), from(x.rank(), 0), size(x.shape),
      padded;
  RuntimeAxes named(c, axes, x.rank());
  for (int64_t k = 0; k < x.rank(); ++k) {
    Extent before = 0, behind = 0;
    for (size_t j = 0; j < axes.size(); ++j) {
      before = named.choose(c, j, k, pads[j], before);
      behind = named.choose(c, j, k, pads[axes.size() + j], behind);
    }
    low[k] = atoms.max(before, 0);
    high[k] = atoms.max(behind, 0);
    from[k] = atoms.max(Extent(-1) * before, 0);
    size[k] =
        atoms.simplify(size[k] + atoms.min(before, 0) + atoms.min(behind, 0));
    c.requireSize(size[k], "what the pads leave of axis " + Twine(k));
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
  auto isUnpadded = [&](size_t k) { return low[k].is(0) && high[k].is(0); };
  auto reflectsOnce = [&](size_t k) {
    return atoms.knownAtLeast(size[k] - 1, low[k]) &&
           atoms.knownAtLeast(size[k] - 1, high[k]);
  };
  for (int64_t k = 0; k < x.rank(); ++k)
    if (!isUnpadded(k))
      c.sizes.requireAtLeast(
          size[k], atoms.less(0, low[k] + high[k]),
          "axis " + Twine(k) + " has no elements to pad with", c.loc);
  Value table = c.value(inner);
  return c.generate(
      padded, x.type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        SmallVector<Scalar> position;
        for (auto [k, index] : llvm::enumerate(at)) {
          if (isUnpadded(k)) {
            position.push_back(index);
            continue;
          }
          Scalar i = index - Scalar::extent(body, DType::index, low[k]),
                 count = Scalar::extent(body, DType::index, size[k]),
                 last = count - 1;
          if (mode == "reflect" && reflectsOnce(k))
            i = last - abs(last - abs(i));
          else if (mode == "reflect") {
            Scalar period = maximum(last + last, last.like(1));
            i = remainder(remainder(i, period) + period, period);
            i = last - abs(last - i);
          } else if (mode == "wrap")
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
