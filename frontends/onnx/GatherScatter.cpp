// Ops that read or write elements at positions that are data.
#include "dialects/Fulgur.h"
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
void requireIndices(const Core &c, const Tensor &indices) {
  c.requireType(indices, isInteger(indices.type), "integer");
}

std::string axisOf(int64_t axis, StringRef tensor) {
  return ("axis " + Twine(axis) + " of '" + tensor + "'").str();
}

Tensor importGather(const Core &c, const Site &s) {
  requireIndices(c, s[1]);
  return c.gather(s[0], s[1], c.axis(s.integer("axis", 0), s[0].rank()),
                  s.nameOf(0));
}

/// Element by element: the index replaces the coordinate on the axis.
Tensor importGatherElements(const Core &c, const Site &s) {
  Tensor x = s[0], indices = s[1];
  requireIndices(c, indices);
  if (x.rank() != indices.rank())
    c.fail("data and indices have the ranks " + Twine(x.rank()) + " and " +
           Twine(indices.rank()));
  int64_t axis = c.axis(s.integer("axis", 0), x.rank());
  for (int64_t k = 0; k < x.rank(); ++k)
    if (k != axis)
      c.sizes.requireAtLeast(x.shape[k], indices.shape[k],
                             "indices reach behind axis " + Twine(k) + " of '" +
                                 s.nameOf(0) + "'",
                             c.loc);
  c.checkIndices(indices, x.shape[axis], axisOf(axis, s.nameOf(0)));
  Value table = c.value(x);
  return c.generate(indices.shape, x.type, {indices},
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at);
                      from[axis] = wrapIndex(v[0], x.shape[axis]);
                      return c.extract(body, table, x.type, from);
                    });
}

/// The last dim of an index tensor: how many coordinates each entry has.
int64_t tupleSize(const Core &c, const Tensor &indices, int64_t limit) {
  std::optional<int64_t> size =
      indices.rank() ? indices.shape.back().constant() : std::nullopt;
  if (indices.rank() && !size)
    c.unsupported("indices of shape " + c.text(indices.shape) +
                  " are not supported: how many coordinates each of them has "
                  "must be known; fix the last dim with --dim or --shape");
  if (!size || *size < 1 || *size > limit)
    c.fail("the last dim of the indices must be a constant from 1 to " +
           Twine(limit) + "; their shape is " + c.text(indices.shape));
  return *size;
}

/// Checks each coordinate of index tuples against its own axis of `x`,
/// beginning with `first`.
void checkTuples(const Core &c, const Tensor &x, const Tensor &indices,
                 int64_t first, StringRef tensor) {
  int64_t count = *indices.shape.back().constant();
  for (int64_t k = 0; k < count; ++k)
    c.checkIndices(c.slice(indices, indices.rank() - 1, k, 1),
                   x.shape[first + k], axisOf(first + k, tensor));
}

/// Slices of the tensor at index tuples; the leading `batch_dims` dims are
/// common to both.
Tensor importGatherND(const Core &c, const Site &s) {
  Tensor x = s[0], indices = s[1];
  requireIndices(c, indices);
  int64_t batch = s.integer("batch_dims", 0);
  if (batch < 0 || batch >= std::min(x.rank(), indices.rank()))
    c.fail("batch_dims is " + Twine(batch) + " for tensors of rank " +
           Twine(x.rank()) + " and " + Twine(indices.rank()));
  int64_t count = tupleSize(c, indices, x.rank() - batch),
          places = indices.rank() - 1;
  for (int64_t k = 0; k < batch; ++k)
    c.requireEqual(x.shape[k], indices.shape[k]);
  checkTuples(c, x, indices, batch, s.nameOf(0));
  Shape shape(indices.shape.begin(), indices.shape.end() - 1);
  shape.append(x.shape.begin() + batch + count, x.shape.end());

  // Each coordinate is an operand of its own, which broadcasts over the dims of
  // a slice.
  SmallVector<Tensor> coordinates;
  for (int64_t k = 0; k < count; ++k) {
    Shape spread(indices.shape.begin(), indices.shape.end() - 1);
    spread.append(shape.size() - places, 1);
    coordinates.push_back(c.reshape(c.slice(indices, places, k, 1), spread));
  }
  Value table = c.value(x);
  return c.generate(shape, x.type, coordinates,
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at.take_front(batch));
                      for (int64_t k = 0; k < count; ++k)
                        from.push_back(wrapIndex(v[k], x.shape[batch + k]));
                      llvm::append_range(from, at.drop_front(places));
                      return c.extract(body, table, x.type, from);
                    });
}

/// A row of `depth` values for each index: the second of `values` at the index,
/// the first elsewhere.
Tensor importOneHot(const Core &c, const Site &s) {
  Tensor indices = s[0], values = s[2];
  Shape depth = s.sizes(1);
  if (depth.size() != 1 || values.rank() != 1)
    c.fail("needs one depth and two values");
  c.requireEqual(values.shape[0], 2, "the number of values and 2");
  int64_t axis = c.axis(s.integer("axis", -1), indices.rank() + 1);
  Shape shape(indices.shape);
  shape.insert(shape.begin() + axis, depth[0]);
  Tensor off = c.reshape(c.slice(values, 0, 0, 1), {}),
         on = c.reshape(c.slice(values, 0, 1, 1), {});
  return c.generate(shape, values.type,
                    {c.unsqueeze(c.cast(indices, DType::i64), {axis}), off, on},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return select(equal(wrapIndex(v[0], depth[0]), at[axis]),
                                    v[2], v[1]);
                    });
}

/// What is stored when an update meets what is there.
Scalar combine(const Core &c, StringRef reduction, const Scalar &there,
               const Scalar &update) {
  if (reduction == "add")
    return there.type == DType::boolean ? there | update : there + update;
  if (reduction == "mul")
    return there.type == DType::boolean ? there & update : there * update;
  if (reduction == "max")
    return maximum(there, update);
  if (reduction == "min")
    return minimum(there, update);
  return update;
}

StringRef reductionOf(const Core &c, const Site &s) {
  StringRef reduction = s.text("reduction", "none");
  if (!llvm::is_contained({"none", "add", "mul", "max", "min"}, reduction))
    c.fail("reduction '" + reduction +
           "' is not one of none, add, mul, max, min");
  return reduction;
}

/// Updates, one after the other, of a copy of `x`: `to` says where the one at
/// `at` goes.
Tensor scatter(
    const Core &c, const Tensor &x, const Tensor &updates, StringRef reduction,
    llvm::function_ref<SmallVector<Scalar>(Body &, ArrayRef<Scalar> at)> to) {
  if (updates.type != x.type)
    c.fail("data is of type " + name(x.type) + ", updates are " +
           name(updates.type));
  Value from = c.value(updates);
  SmallVector<Value> result =
      c.loop(updates.shape, {c.value(x)},
             [&](Body &body, ArrayRef<Scalar> at,
                 ValueRange state) -> SmallVector<Value> {
               SmallVector<Scalar> place = to(body, at);
               Scalar update = c.extract(body, from, x.type, at);
               if (reduction != "none")
                 update =
                     combine(c, reduction,
                             c.extract(body, state[0], x.type, place), update);
               SmallVector<Value> indices;
               for (const Scalar &index : place)
                 indices.push_back(convert(index, DType::index).emit());
               return {tensor::InsertOp::create(*body.builder, c.loc,
                                                convert(update, x.type).emit(),
                                                state[0], indices)};
             });
  return c.tensor(result[0], x.type, x.shape);
}

Tensor importScatterElements(const Core &c, const Site &s) {
  Tensor x = s[0], indices = s[1], updates = s[2];
  requireIndices(c, indices);
  if (x.rank() != indices.rank() || updates.rank() != indices.rank())
    c.fail("data, indices and updates have the ranks " + Twine(x.rank()) +
           ", " + Twine(indices.rank()) + " and " + Twine(updates.rank()));
  int64_t axis = c.axis(s.integer("axis", 0), x.rank());
  for (int64_t k = 0; k < x.rank(); ++k) {
    c.requireEqual(indices.shape[k], updates.shape[k]);
    if (k != axis)
      c.sizes.requireAtLeast(x.shape[k], indices.shape[k],
                             "indices reach behind axis " + Twine(k) + " of '" +
                                 s.nameOf(0) + "'",
                             c.loc);
  }
  StringRef reduction = reductionOf(c, s);
  c.checkIndices(indices, x.shape[axis], axisOf(axis, s.nameOf(0)));
  Value table = c.value(indices);
  return scatter(
      c, x, updates, reduction, [&](Body &body, ArrayRef<Scalar> at) {
        SmallVector<Scalar> place(at);
        place[axis] =
            wrapIndex(c.extract(body, table, indices.type, at), x.shape[axis]);
        return place;
      });
}

Tensor importScatterND(const Core &c, const Site &s) {
  Tensor x = s[0], indices = s[1], updates = s[2];
  requireIndices(c, indices);
  int64_t count = tupleSize(c, indices, x.rank()), places = indices.rank() - 1;
  if (updates.rank() != places + x.rank() - count)
    c.fail("updates have the rank " + Twine(updates.rank()) + ", not " +
           Twine(places + x.rank() - count));
  for (int64_t k = 0; k < updates.rank(); ++k)
    c.requireEqual(updates.shape[k],
                   k < places ? indices.shape[k] : x.shape[count + k - places]);
  StringRef reduction = reductionOf(c, s);
  checkTuples(c, x, indices, 0, s.nameOf(0));
  Value table = c.value(indices);
  return scatter(
      c, x, updates, reduction, [&](Body &body, ArrayRef<Scalar> at) {
        SmallVector<Scalar> place, entry(at.take_front(places));
        entry.push_back({});
        for (int64_t k = 0; k < count; ++k) {
          entry.back() = Scalar::constant(body, DType::index, k);
          place.push_back(wrapIndex(c.extract(body, table, indices.type, entry),
                                    x.shape[k]));
        }
        llvm::append_range(place, at.drop_front(places));
        return place;
      });
}
/// Of every entry of the batch, the first elements in time, as many as the
/// lengths say, back to front.
Tensor importReverseSequence(const Core &c, const Site &s) {
  Tensor x = s[0], lengths = s[1];
  int64_t batch = s.integer("batch_axis", 1), time = s.integer("time_axis", 0);
  if (x.rank() < 2 || batch + time != 1 || batch * time != 0)
    c.fail("batch_axis and time_axis are " + Twine(batch) + " and " +
           Twine(time) + " for a tensor of rank " + Twine(x.rank()) +
           "; they must be 0 and 1, or 1 and 0");
  requireIndices(c, lengths);
  if (lengths.rank() != 1)
    c.fail("the lengths have the rank " + Twine(lengths.rank()) + ", not 1");
  c.requireEqual(lengths.shape[0], x.shape[batch]);
  fulgur::CheckBoundsOp::create(
      c.builder, c.loc, c.value(lengths), c.index(0),
      c.index(x.shape[time] + 1),
      c.builder.getStringAttr("a length outside " + axisOf(time, s.nameOf(0))));
  Shape column(x.rank() - batch, 1);
  column[0] = x.shape[batch];
  Value table = c.value(x);
  return c.generate(x.shape, x.type, {c.reshape(lengths, column)},
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      Scalar length = convert(v[0], DType::index);
                      SmallVector<Scalar> from(at);
                      from[time] = select(at[time] < length,
                                          length - at[time] - 1, at[time]);
                      return c.extract(body, table, x.type, from);
                    });
}

/// A cache of which a stretch along an axis, from a place of its own for every
/// entry of the batch on, is replaced; in circular mode it goes on at the
/// front. Each element of the result is read from where it comes from.
Tensor importTensorScatter(const Core &c, const Site &s) {
  Tensor cache = s[0], update = s[1], start = s[2];
  if (update.type != cache.type)
    c.fail("the cache is of type " + name(cache.type) + ", the update is " +
           name(update.type));
  if (update.rank() != cache.rank())
    c.fail("the cache and the update have the ranks " + Twine(cache.rank()) +
           " and " + Twine(update.rank()));
  int64_t axis = c.axis(s.integer("axis", -2), cache.rank());
  if (axis == 0)
    c.fail("axis 0 is the batch, along which nothing is scattered");
  for (int64_t k = 0; k < cache.rank(); ++k)
    if (k != axis)
      c.requireEqual(cache.shape[k], update.shape[k]);
  StringRef mode = s.text("mode", "linear");
  if (mode != "linear" && mode != "circular")
    c.fail("mode '" + mode + "' is not one of linear, circular");
  bool circular = mode == "circular";
  Extent length = cache.shape[axis], count = update.shape[axis];
  c.sizes.requireAtLeast(
      length, count,
      "the update is longer than the cache along axis " + Twine(axis), c.loc);
  if (count.is(0))
    return cache;
  c.sizes.requireAtLeast(
      count, 1, "the update is empty along axis " + Twine(axis), c.loc);
  if (!start)
    start = c.fill({cache.shape[0]}, DType::i64, 0);
  requireIndices(c, start);
  if (start.rank() != 1)
    c.fail("write_indices have the rank " + Twine(start.rank()) + ", not 1");
  c.requireEqual(start.shape[0], cache.shape[0]);
  if (s[2] && !circular)
    fulgur::CheckBoundsOp::create(
        c.builder, c.loc, c.value(start), c.index(0),
        c.index(length - count + 1),
        c.builder.getStringAttr("the update reaches behind " +
                                axisOf(axis, s.nameOf(0))));
  Value from = c.value(update);
  Shape column(cache.rank(), 1);
  column[0] = cache.shape[0];
  return c.generate(
      cache.shape, cache.type, {cache, c.reshape(start, column)},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto size = [&](const Extent &extent) {
          return Scalar::extent(body, DType::index, extent);
        };
        Scalar distance = at[axis] - convert(v[1], DType::index);
        if (circular) // of the sign of the dividend, which may be negative
          distance = remainder(remainder(distance, size(length)) + size(length),
                               size(length));
        Scalar isNew =
            (distance >= distance.like(0)) & (distance < size(count));
        SmallVector<Scalar> place(at);
        place[axis] = select(isNew, distance, distance.like(0));
        return select(isNew, c.extract(body, from, cache.type, place), v[0]);
      });
}
} // namespace

void fulgur::onnx::registerGatherScatter(OpTable &ops) {
  ops["Gather"] = {importGather, 2};
  ops["GatherElements"] = {importGatherElements, 2};
  ops["GatherND"] = {importGatherND, 2};
  ops["OneHot"] = {importOneHot, 3};
  ops["ReverseSequence"] = {importReverseSequence, 2};
  ops["Scatter"] = {importScatterElements, 3}; // its name before opset 11
  ops["ScatterElements"] = {importScatterElements, 3};
  ops["ScatterND"] = {importScatterND, 3};
  ops["TensorScatter"] = {importTensorScatter, 2};
}
