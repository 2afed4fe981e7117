// The core's operations that move elements and compute none.
#include "dialects/Fulgur.h"
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

/// A tensor of known elements with the constant shape, each taken from where
/// `from` says.
static Tensor pick(const Tensor &x, Shape shape,
                   llvm::function_ref<int64_t(ArrayRef<int64_t>)> from) {
  Elements elements;
  forEachIndex(shape, [&](ArrayRef<int64_t> at) {
    elements.push_back((*x.known())[from(at)]);
  });
  return Tensor(std::move(elements), x.type, std::move(shape));
}

/// Whether the elements of the result can be listed, so that no operation is
/// needed.
static bool isListed(const Tensor &x, ArrayRef<Extent> shape) {
  std::optional<int64_t> count = constantCount(shape);
  return x.known() && constantCount(x.shape) && count &&
         *count <= knownLimit(x.type);
}

//===-- Reshape -----------------------------------------------------------===//

namespace {
/// Dims of two shapes whose products are equal.
struct Group {
  SmallVector<int64_t> from, to;
};
} // namespace

/// Splits two shapes of equally many elements into the smallest groups that can
/// be told apart.
static SmallVector<Group> matchDims(Atoms &atoms, ArrayRef<Extent> from,
                                    ArrayRef<Extent> to) {
  SmallVector<Group> groups;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    Group group{{int64_t(i)}, {int64_t(j)}};
    Extent a = from[i++], b = to[j++];
    while (!atoms.knownEqual(a, b)) {
      bool takeFrom = b.divideExactly(a).has_value(),
           takeTo = !takeFrom && a.divideExactly(b).has_value();
      if (!takeFrom && !takeTo && a.constant() && b.constant())
        (*a.constant() < *b.constant() ? takeFrom : takeTo) = true;
      if (takeFrom && i < from.size()) {
        a *= from[i];
        group.from.push_back(i++);
      } else if (takeTo && j < to.size()) {
        b *= to[j];
        group.to.push_back(j++);
      } else {
        break; // cannot be told: everything left is one group
      }
    }
    bool open = !atoms.knownEqual(a, b);
    for (; i < from.size() && (open || from[i].is(1)) &&
           (open || j >= to.size() || !to[j].is(1));
         ++i)
      group.from.push_back(i);
    for (; j < to.size() && (open || (to[j].is(1) && i >= from.size())); ++j)
      group.to.push_back(j);
    groups.push_back(group);
  }
  if (groups.empty())
    groups.push_back({});
  for (; i < from.size(); ++i)
    groups.back().from.push_back(i);
  for (; j < to.size(); ++j)
    groups.back().to.push_back(j);
  return groups;
}

Tensor Core::reshape(const Tensor &x, ArrayRef<Extent> target) const {
  Shape from, shape;
  for (const Extent &size : x.shape)
    from.push_back(sizes.atoms.simplify(size));
  for (const Extent &size : target)
    shape.push_back(sizes.atoms.simplify(size));
  if (from == shape)
    return x;
  Extent before = product(from), after = product(shape);
  if (sizes.atoms.knownDifferent(before, after))
    fail("a tensor of shape " + text(from) + " cannot be reshaped to " +
         text(shape));
  requireEqual(before, after);
  // A scalar has no dims to group with those of the new shape: all are 1.
  if (from.empty() && llvm::any_of(shape, [](const Extent &size) {
        return !size.constant();
      })) {
    for (const Extent &size : shape)
      requireEqual(size, 1);
    return reshape(x, Shape(shape.size(), 1));
  }
  if (x.known() && (!x.value() || int64_t(x.known()->size()) <= 64))
    return Tensor(*x.known(), x.type, shape);
  if (before.is(0) || after.is(0)) // the sizes of nothing say nothing of others
    return tensor(empty(shape, x.type), x.type, shape);

  SmallVector<Group> groups = matchDims(sizes.atoms, from, shape);
  SmallVector<ReassociationIndices> collapse, expand;
  Shape middle;
  bool needsCollapse = false, needsExpand = false;
  for (const Group &group : groups) {
    Extent size = 1;
    for (int64_t k : group.to)
      size *= shape[k];
    middle.push_back(sizes.atoms.simplify(size));
    needsCollapse |= group.from.size() != 1;
    needsExpand |= group.to.size() != 1;
    collapse.emplace_back(group.from.begin(), group.from.end());
    expand.emplace_back(group.to.begin(), group.to.end());
  }
  Value value = this->value(tensor(this->value(x), x.type, from));
  if (from.empty()) { // a scalar has no dims to group
    SmallVector<ReassociationIndices> none;
    value = tensor::ExpandShapeOp::create(builder, loc, typeOf(shape, x.type),
                                          value, none, sizesOf(shape));
    return tensor(value, x.type, shape);
  }
  if (shape.empty()) {
    SmallVector<ReassociationIndices> none;
    Shape ones(from.size(), 1);
    if (value.getType() != typeOf(ones, x.type))
      value = tensor::CastOp::create(builder, loc, typeOf(ones, x.type), value);
    value = tensor::CollapseShapeOp::create(builder, loc, typeOf({}, x.type),
                                            value, none);
    return tensor(value, x.type, shape);
  }
  if (needsCollapse) {
    // The type follows from the operand's; what is known beyond that is a cast.
    value = tensor::CollapseShapeOp::create(builder, loc, value, collapse);
  }
  if (value.getType() != typeOf(middle, x.type))
    value = tensor::CastOp::create(builder, loc, typeOf(middle, x.type), value);
  if (needsExpand)
    value = tensor::ExpandShapeOp::create(builder, loc, typeOf(shape, x.type),
                                          value, expand, sizesOf(shape));
  Tensor result = tensor(value, x.type, shape);
  if (x.known())
    result.setKnown(*x.known());
  return result;
}

Tensor Core::unsqueeze(const Tensor &x, ArrayRef<int64_t> axes) const {
  int64_t rank = x.rank() + axes.size();
  SmallVector<int64_t> ones = this->axes(axes, rank);
  Shape shape;
  for (int64_t k = 0, next = 0; k < rank; ++k)
    shape.push_back(llvm::is_contained(ones, k) ? Extent(1) : x.shape[next++]);
  return reshape(x, shape);
}

Tensor Core::squeeze(const Tensor &x, ArrayRef<int64_t> axes) const {
  SmallVector<int64_t> ones = this->axes(axes, x.rank());
  Shape shape;
  for (int64_t k = 0; k < x.rank(); ++k) {
    if (!llvm::is_contained(ones, k))
      shape.push_back(x.shape[k]);
    else
      requireEqual(x.shape[k], 1);
  }
  return reshape(x, shape);
}

//===-- Permutations and copies -------------------------------------------===//

Tensor Core::transpose(const Tensor &x, ArrayRef<int64_t> permutation) const {
  Shape shape;
  for (int64_t k : permutation)
    shape.push_back(x.shape[k]);
  if (llvm::is_sorted(permutation))
    return x;
  if (isListed(x, shape))
    return pick(x, shape, [&](ArrayRef<int64_t> at) {
      SmallVector<int64_t> from(at.size());
      for (size_t k = 0; k < at.size(); ++k)
        from[permutation[k]] = at[k];
      return broadcastOffset(x.shape, from);
    });
  return tensor(linalg::TransposeOp::create(builder, loc, value(x),
                                            empty(shape, x.type), permutation)
                    ->getResult(0),
                x.type, shape);
}

Tensor Core::broadcastTo(const Tensor &x, ArrayRef<Extent> target) const {
  Shape shape = broadcast(x.shape, target);
  if (shape.size() != target.size())
    fail("a tensor of shape " + text(x.shape) + " does not broadcast to " +
         text(target));
  if (sizes.atoms.knownEqual(product(x.shape), product(shape)))
    return reshape(x, shape);
  if (isListed(x, shape))
    return pick(x, shape, [&](ArrayRef<int64_t> at) {
      return broadcastOffset(x.shape, at);
    });
  return generate(
      shape, x.type, {x},
      [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar>) { return v[0]; });
}

Tensor Core::concat(ArrayRef<Tensor> all, int64_t axis) const {
  SmallVector<Tensor> parts;
  for (const Tensor &part : all) {
    if (part.rank() != all[0].rank() || part.type != all[0].type)
      fail("inputs of shapes " + text(all[0].shape) + " and " +
           text(part.shape) + " or of different types cannot be concatenated");
    if (!part.shape[axis].is(0))
      parts.push_back(part);
  }
  if (parts.empty())
    return all[0];
  if (parts.size() == 1)
    return parts[0];
  Shape shape(parts[0].shape);
  for (const Tensor &part : llvm::drop_begin(parts))
    for (int64_t k = 0; k < part.rank(); ++k) {
      if (k == axis) {
        shape[k] += part.shape[k];
        continue;
      }
      requireEqual(shape[k], part.shape[k],
                   "axis " + Twine(k) + " of tensors of shape " +
                       text(parts[0].shape) + " and " + text(part.shape) +
                       ", which are joined along axis " + Twine(axis));
      shape[k] = sizes.atoms.simplify(part.shape[k].constant() ? part.shape[k]
                                                               : shape[k]);
    }
  shape[axis] = sizes.atoms.simplify(shape[axis]);
  if (constantCount(shape) == 0)
    return tensor(empty(shape, parts[0].type), parts[0].type, shape);
  if (llvm::all_of(parts,
                   [&](const Tensor &part) { return isListed(part, shape); })) {
    Elements elements;
    forEachIndex(shape, [&](ArrayRef<int64_t> at) {
      SmallVector<int64_t> from(at);
      size_t k = 0;
      for (; from[axis] >= *parts[k].shape[axis].constant(); ++k)
        from[axis] -= *parts[k].shape[axis].constant();
      int64_t offset = 0;
      for (int64_t dim = 0; dim < int64_t(from.size()); ++dim)
        offset = offset * *parts[k].shape[dim].constant() + from[dim];
      elements.push_back((*parts[k].known())[offset]);
    });
    return Tensor(std::move(elements), parts[0].type, shape);
  }
  SmallVector<Value> values;
  for (const Tensor &part : parts)
    values.push_back(value(part));
  return tensor(tensor::ConcatOp::create(
                    builder, loc, typeOf(shape, parts[0].type), axis, values),
                parts[0].type, shape);
}

Tensor Core::slice(const Tensor &x, ArrayRef<Extent> start,
                   ArrayRef<Extent> size, ArrayRef<int64_t> step) const {
  Shape shape;
  bool whole = true, backward = false, constant = true;
  for (int64_t k = 0; k < x.rank(); ++k) {
    shape.push_back(sizes.atoms.simplify(size[k]));
    whole &= sizes.atoms.knownEqual(size[k], x.shape[k]) && step[k] == 1;
    backward |= step[k] < 0;
    constant &= start[k].constant().has_value();
  }
  if (whole)
    return x;
  auto isEmpty = [](ArrayRef<Extent> shape) {
    return llvm::any_of(shape, [](const Extent &size) { return size.is(0); });
  };
  if (isEmpty(shape) || isEmpty(x.shape))
    return tensor(empty(shape, x.type), x.type, shape);
  if (constant && isListed(x, shape))
    return pick(x, shape, [&](ArrayRef<int64_t> at) {
      int64_t offset = 0;
      for (size_t k = 0; k < at.size(); ++k)
        offset = offset * *x.shape[k].constant() + *start[k].constant() +
                 at[k] * step[k];
      return offset;
    });
  if (backward) {
    Value table = value(x);
    return generate(shape, x.type, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from;
                      for (auto [k, index] : llvm::enumerate(at))
                        from.push_back(
                            Scalar::extent(body, DType::index, start[k]) +
                            index * double(step[k]));
                      return extract(body, table, x.type, from);
                    });
  }
  SmallVector<OpFoldResult> strides;
  for (int64_t one : step)
    strides.push_back(builder.getIndexAttr(one));
  Value result = tensor::ExtractSliceOp::create(
      builder, loc, typeOf(shape, x.type), value(x), sizesOf(start),
      sizesOf(shape), strides);
  return tensor(result, x.type, shape);
}

Tensor Core::slice(const Tensor &x, int64_t axis, const Extent &start,
                   const Extent &size) const {
  Shape starts(x.rank(), 0), all(x.shape);
  starts[axis] = start;
  all[axis] = size;
  return slice(x, starts, all, SmallVector<int64_t>(x.rank(), 1));
}

Tensor Core::pad(const Tensor &x, ArrayRef<Extent> low, ArrayRef<Extent> high,
                 const Element &number) const {
  Shape shape;
  for (int64_t k = 0; k < x.rank(); ++k)
    shape.push_back(sizes.atoms.simplify(low[k] + x.shape[k] + high[k]));
  if (shape == x.shape)
    return x;
  Body here = body(&builder);
  Value filler = Scalar{&here, x.type, Value(), number}.emit();
  return tensor(tensor::PadOp::create(builder, loc, typeOf(shape, x.type),
                                      value(x), sizesOf(low), sizesOf(high),
                                      filler),
                x.type, shape);
}

//===-- Gather ------------------------------------------------------------===//

bool Core::checkIndices(const Tensor &indices, const Extent &size,
                        const Twine &what) const {
  Atoms &atoms = sizes.atoms;
  if (indices.known()) {
    bool negative = false;
    for (const Element &element : *indices.known()) {
      Extent index = atoms.simplify(element.integer);
      bool wraps = atoms.upper(index) < 0;
      negative |= wraps;
      Extent position = wraps ? index + size : index;
      if (atoms.upper(position) < 0 || atoms.knownAtLeast(position, size))
        fail("index " + atoms.text(index) + " is outside " + what +
             ", which has " + atoms.text(size) + " elements");
      sizes.requireAtLeast(
          position, 0,
          "index '" + atoms.text(index) + "' must be inside " + what, loc);
      sizes.requireAtLeast(
          size, position + 1,
          "index '" + atoms.text(index) + "' must be inside " + what, loc);
    }
    return negative;
  }
  CheckBoundsOp::create(
      builder, loc, value(indices),
      index(isUnsigned(indices.type) ? Extent(0) : Extent(-1) * size),
      index(size), builder.getStringAttr("index outside " + what));
  return !isUnsigned(indices.type);
}

Tensor Core::gather(const Tensor &x, const Tensor &indices, int64_t axis,
                    StringRef tableName) const {
  const Extent &size = x.shape[axis];
  Shape shape(x.shape.begin(), x.shape.begin() + axis);
  shape.append(indices.shape.begin(), indices.shape.end());
  shape.append(x.shape.begin() + axis + 1, x.shape.end());
  bool mayWrap = checkIndices(
      indices, size, "axis " + Twine(axis) + " of '" + tableName + "'");

  if (const Elements *known = indices.known(); known && !known->empty()) {
    SmallVector<Extent> positions;
    bool constant = true, consecutive = true;
    for (const Element &element : *known) {
      bool wraps = sizes.atoms.upper(element.integer) < 0;
      positions.push_back(sizes.atoms.simplify(wraps ? element.integer + size
                                                     : element.integer));
      constant &= positions.back().constant().has_value();
      consecutive &= positions.size() == 1 ||
                     positions[positions.size() - 2] + 1 == positions.back();
    }
    if (consecutive)
      return reshape(slice(x, axis, positions[0], int64_t(positions.size())),
                     shape);
    if (constant && isListed(x, shape))
      return pick(x, shape, [&](ArrayRef<int64_t> at) {
        SmallVector<int64_t> from(at.take_front(axis));
        from.push_back(
            *positions[broadcastOffset(indices.shape,
                                       at.slice(axis, indices.rank()))]
                 .constant());
        llvm::append_range(from, at.drop_front(axis + indices.rank()));
        int64_t offset = 0;
        for (size_t k = 0; k < from.size(); ++k)
          offset = offset * *x.shape[k].constant() + from[k];
        return offset;
      });
  }
  // The indices broadcast to the result when they have a dim of size 1 for
  // every dim of a slice behind the axis.
  Value table = value(x);
  SmallVector<int64_t> behind;
  for (size_t k = axis + indices.rank(); k < shape.size(); ++k)
    behind.push_back(k - axis);
  return generate(shape, x.type, {unsqueeze(indices, behind)},
                  [&](Body &body, ArrayRef<Scalar> in, ArrayRef<Scalar> at) {
                    SmallVector<Scalar> from(at.take_front(axis));
                    from.push_back(mayWrap ? wrapIndex(in[0], size)
                                           : convert(in[0], DType::index));
                    llvm::append_range(from,
                                       at.drop_front(axis + indices.rank()));
                    return extract(body, table, x.type, from);
                  });
}
