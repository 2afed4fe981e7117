#include "frontends/onnx/microsoft/Masks.h"

using namespace fulgur::onnx;

Tensor microsoft::perBatch(const Core &c, const Tensor &x) {
  return c.reshape(x, {product(x.shape), 1, 1, 1});
}

namespace {
/// `filter` where a condition on the key and two numbers of its batch fails.
Tensor hideOutside(const Core &c, const microsoft::MaskSizes &sizes,
                   const Tensor &start, const Tensor &end, double filter,
                   DType type) {
  SmallVector<Tensor> in{microsoft::perBatch(c, end)};
  if (start)
    in.push_back(microsoft::perBatch(c, start));
  return c.generate({sizes.batch, 1, 1, sizes.keys}, type, in,
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      Scalar inside = at[3] < convert(v[0], DType::index);
                      if (start)
                        inside =
                            inside & (at[3] >= convert(v[1], DType::index));
                      return select(inside, Scalar::constant(body, type, 0),
                                    Scalar::constant(body, type, filter));
                    });
}
} // namespace

Tensor microsoft::maskBias(const Core &c, const Tensor &mask,
                           const MaskSizes &sizes, double filter, DType type) {
  Atoms &atoms = c.sizes.atoms;
  ArrayRef<Extent> dims = mask.shape;
  c.requireType(mask, isInteger(mask.type), "integer");
  if (isHalf(type))
    type = DType::f32;
  auto equal = [&](const Extent &a, const Extent &b) {
    return atoms.knownEqual(atoms.simplify(a), atoms.simplify(b));
  };
  if (dims.size() == 1) {
    Tensor lengths = mask, starts;
    if (!equal(dims[0], sizes.batch)) {
      bool both = equal(dims[0], sizes.batch * 2);
      if (both || equal(dims[0], sizes.batch * 3 + 2))
        lengths = c.slice(mask, 0, 0, sizes.batch);
      if (both)
        starts = c.slice(mask, 0, sizes.batch, sizes.batch);
    }
    c.requireEqual(lengths.shape[0], sizes.batch);
    return hideOutside(c, sizes, starts, lengths, filter, type);
  }
  Tensor bits;
  if (dims.size() == 2) {
    if (dims[1].is(1) && !equal(dims[1], sizes.keys))
      return {}; // says nothing
    c.requireEqual(dims[0], sizes.batch);
    c.requireEqual(dims[1], sizes.keys);
    bits = c.unsqueeze(mask, {1, 2});
  } else if (dims.size() == 3) {
    c.requireEqual(dims[0], sizes.batch);
    c.requireEqual(dims[1], sizes.queries);
    c.requireEqual(dims[2], sizes.keys);
    bits = c.unsqueeze(mask, {1});
  } else if (dims.size() == 4) {
    // Rows and columns of a square for the longest sequence there may be.
    c.requireEqual(dims[0], sizes.batch);
    c.requireEqual(dims[2], dims[3]);
    c.sizes.requireAtLeast(dims[2], sizes.keys,
                           "'" + atoms.text(sizes.keys) +
                               "' keys must fit the mask of '" +
                               atoms.text(dims[2]) + "'",
                           c.loc);
    if (!dims[1].is(1) || !sizes.past.known() ||
        sizes.past.known()->size() != 1)
      c.unsupported("a mask of shape " + c.text(dims) +
                    " with a cache of unknown length is not supported");
    Extent past = sizes.past.known()->front().integer;
    bits = c.slice(mask, {0, 0, past, 0},
                   {sizes.batch, 1, sizes.queries, sizes.keys}, {1, 1, 1, 1});
  } else {
    c.fail("the mask has rank " + Twine(dims.size()) + ", not 1 to 4");
  }
  return c.map({bits}, type, [&](ArrayRef<Scalar> v) {
    Scalar zero = Scalar::constant(*v[0].body, type, 0);
    return select(v[0] > 0, zero, zero.like(filter));
  });
}

Tensor microsoft::causal(const Core &c, const MaskSizes &sizes) {
  Tensor past = perBatch(c, sizes.past);
  return c.generate({past.shape[0], 1, sizes.queries, sizes.keys},
                    DType::boolean, {past},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return at[3] <= at[2] + convert(v[0], DType::index);
                    });
}
