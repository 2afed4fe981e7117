#include "frontends/onnx/Attention.h"
#include "frontends/onnx/Normalization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <cmath>

using namespace fulgur::onnx;

namespace {
/// Another logit behind each row of the scores.
Tensor withSink(const Core &c, const Tensor &scores, const Tensor &sink) {
  Shape column(scores.shape);
  column[3] = 1;
  Tensor logits =
      c.broadcastTo(c.unsqueeze(c.cast(sink, scores.type), {0, 2, 3}), column);
  return c.concat({scores, logits}, 3);
}
} // namespace

AttentionResult fulgur::onnx::attention(const Core &c, const Attention &a) {
  if (a.query.rank() != 4 || a.key.rank() != 4 || a.value.rank() != 4)
    c.fail("queries, keys and values have the shapes " + c.text(a.query.shape) +
           ", " + c.text(a.key.shape) + " and " + c.text(a.value.shape) +
           ", which are not of rank 4");
  DType type = computeType(a.query.type);
  Tensor query = c.cast(a.query, type), key = c.cast(a.key, type),
         value = c.cast(a.value, type);
  Extent batch = query.shape[0], heads = query.shape[1],
         queries = query.shape[2], size = query.shape[3],
         keyHeads = key.shape[1], keys = key.shape[2];
  std::optional<Extent> group = heads.divideExactly(keyHeads);
  if (!group)
    c.fail(c.sizes.atoms.text(heads) + " heads cannot share " +
           c.sizes.atoms.text(keyHeads) + " heads of keys evenly");
  c.requireEqual(batch, key.shape[0]);
  c.requireEqual(size, key.shape[3]);
  c.requireEqual(keys, value.shape[2]);
  c.requireEqual(keyHeads, value.shape[1]);
  double scale = a.scale;
  if (scale == 0 && size.constant())
    scale = 1 / std::sqrt(double(*size.constant()));

  // Heads that share keys are rows of one product.
  Extent rows = *group * queries;
  Tensor products =
      c.reshape(c.matmul(c.reshape(query, {batch, keyHeads, rows, size}),
                         c.transpose(key, {0, 1, 3, 2})),
                {batch, heads, queries, keys});
  SmallVector<Tensor> in{products};
  llvm::append_range(in, a.biases);
  if (a.visible)
    in.push_back(a.visible);
  Tensor scores = c.map(in, type, [&](ArrayRef<Scalar> v) {
    auto root = [&] { // of a size that only the caller knows
      return sqrt(
          convert(Scalar::extent(*v[0].body, DType::index, size), type));
    };
    Scalar score = scale != 0 ? v[0] * scale : v[0] / root();
    if (a.softcap != 0)
      score = tanh(score / a.softcap) * a.softcap;
    for (size_t k = 1; k <= a.biases.size(); ++k)
      score = score + convert(v[k], score.type);
    // Else the lowest number: a query that sees nothing gets equal weights.
    double lowest = a.allSee ? -std::numeric_limits<double>::infinity()
                    : type == DType::f64 ? std::numeric_limits<double>::lowest()
                                         : std::numeric_limits<float>::lowest();
    return a.visible ? select(v.back(), score, score.like(lowest)) : score;
  });
  if (scores.rank() != 4 || !c.sizes.atoms.knownEqual(scores.shape[3], keys))
    c.fail("a mask or bias does not broadcast to the scores of shape " +
           c.text(products.shape));
  Tensor weights =
      a.sink ? c.slice(softmax(c, withSink(c, scores, a.sink), 3), 3, 0, keys)
             : softmax(c, scores, 3);
  Tensor output = c.reshape(
      c.matmul(c.reshape(weights, {batch, keyHeads, rows, keys}), value),
      {batch, heads, queries, value.shape[3]});
  DType result = a.query.type;
  return {c.cast(output, result), c.cast(scores, result),
          c.cast(weights, result)};
}

Tensor fulgur::onnx::splitHeads(const Core &c, const Tensor &x, int64_t heads) {
  if (x.rank() != 3 || heads < 1)
    c.fail("a tensor of shape " + c.text(x.shape) +
           " is not [batch, length, heads · size] with " + Twine(heads) +
           " heads");
  Extent size = c.sizes.atoms.floorDiv(x.shape[2], heads);
  c.requireEqual(size * heads, x.shape[2]);
  return c.transpose(c.reshape(x, {x.shape[0], x.shape[1], heads, size}),
                     {0, 2, 1, 3});
}

Tensor fulgur::onnx::mergeHeads(const Core &c, const Tensor &x) {
  return c.reshape(c.transpose(x, {0, 2, 1, 3}),
                   {x.shape[0], x.shape[2], x.shape[1] * x.shape[3]});
}

Tensor fulgur::onnx::appendRows(const Core &c, const Tensor &past,
                                const Tensor &fresh, const Tensor &length,
                                const Extent &size, bool kept) {
  // All rows in one table, which is never empty.
  Tensor all = past ? c.concat({past, fresh}, 2) : fresh;
  Extent before = past ? past.shape[2] : Extent(0), rows = all.shape[2];
  Shape shape(all.shape);
  shape[2] = c.sizes.atoms.simplify(size);
  mlir::Value table = c.value(all);
  return c.generate(
      shape, all.type, {c.unsqueeze(length, {1, 2, 3})},
      [&](Body &body, ArrayRef<Scalar> in, ArrayRef<Scalar> at) {
        auto extent = [&](const Extent &e) {
          return Scalar::extent(body, DType::index, c.sizes.atoms.simplify(e));
        };
        Scalar start = convert(in[0], DType::index), row = at[2];
        Scalar isOld = row < start,
               isNew = row < start + extent(fresh.shape[2]);
        Scalar from = select(isOld, row, row - start + extent(before));
        if (kept)
          from = select(isNew, from, row);
        Scalar there = from < extent(rows);
        Scalar inside = maximum(minimum(from, extent(rows - 1)), extent(0));
        Scalar element =
            c.extract(body, table, all.type, {at[0], at[1], inside, at[3]});
        return select(there, element, element.like(0));
      });
}

Tensor fulgur::onnx::insertRows(const Core &c, const Tensor &buffer,
                                const Tensor &fresh, const Tensor &length) {
  if (fresh.type != buffer.type)
    c.fail("the rows are of type " + name(fresh.type) + ", the cache is of " +
           name(buffer.type));
  for (int64_t k : {0, 1, 3})
    c.requireEqual(fresh.shape[k], buffer.shape[k]);
  mlir::Value rows = c.value(fresh), starts = c.value(length);
  mlir::OpFoldResult zero = c.builder.getIndexAttr(0);
  SmallVector<mlir::OpFoldResult> ones(4, c.builder.getIndexAttr(1)),
      sizes = c.sizesOf(fresh.shape);
  auto startOf = [&](Body &body, const Scalar &sequence) {
    Scalar start = c.extract(body, starts, length.type, {sequence});
    return convert(start, DType::index).emit();
  };
  if (fresh.shape[0].is(1)) {
    Body here = c.body(&c.builder);
    mlir::Value start = startOf(here, Scalar::constant(here, DType::index, 0));
    mlir::Value all = mlir::tensor::InsertSliceOp::create(
        c.builder, c.loc, rows, c.value(buffer),
        SmallVector<mlir::OpFoldResult>{zero, zero, start, zero}, sizes, ones);
    return {all, buffer.type, buffer.shape};
  }
  sizes[0] = ones[0];
  mlir::Value all =
      c.loop({fresh.shape[0]}, {c.value(buffer)},
             [&](Body &body, ArrayRef<Scalar> at,
                 mlir::ValueRange state) -> SmallVector<mlir::Value> {
               mlir::OpBuilder &b = *body.builder;
               mlir::OpFoldResult sequence = at[0].emit();
               mlir::Value part = mlir::tensor::ExtractSliceOp::create(
                   b, c.loc, rows,
                   SmallVector<mlir::OpFoldResult>{sequence, zero, zero, zero},
                   sizes, ones);
               mlir::OpFoldResult start = startOf(body, at[0]);
               return {mlir::tensor::InsertSliceOp::create(
                   b, c.loc, part, state[0],
                   SmallVector<mlir::OpFoldResult>{sequence, zero, start, zero},
                   sizes, ones)};
             })[0];
  return {all, buffer.type, buffer.shape};
}

Tensor fulgur::onnx::rotatePairs(const Core &c, const Tensor &x,
                                 const Tensor &cosine, const Tensor &sine,
                                 int64_t size, bool interleaved) {
  int64_t last = x.rank() - 1;
  if (size < 2 || size % 2 || !c.sizes.atoms.knownAtLeast(x.shape[last], size))
    c.fail("rotating " + Twine(size) + " of the last dim's elements of shape " +
           c.text(x.shape) + " is not possible");
  Extent half = size / 2;
  Tensor a, b;
  if (interleaved) {
    Shape start(x.rank(), 0), count(x.shape);
    SmallVector<int64_t> step(x.rank(), 1);
    count[last] = half;
    step[last] = 2;
    a = c.slice(x, start, count, step);
    start[last] = 1;
    b = c.slice(x, start, count, step);
  } else {
    a = c.slice(x, last, 0, half);
    b = c.slice(x, last, half, half);
  }
  Tensor left = c.map({a, b, cosine, sine}, x.type, [](ArrayRef<Scalar> v) {
    return v[0] * v[2] - v[1] * v[3];
  });
  Tensor right = c.map({a, b, cosine, sine}, x.type, [](ArrayRef<Scalar> v) {
    return v[1] * v[2] + v[0] * v[3];
  });
  Shape turned(x.shape);
  turned[last] = size;
  Tensor result = interleaved
                      ? c.reshape(c.concat({c.unsqueeze(left, {last + 1}),
                                            c.unsqueeze(right, {last + 1})},
                                           last + 1),
                                  turned)
                      : c.concat({left, right}, last);
  if (x.shape[last].is(size))
    return result;
  return c.concat({result, c.slice(x, last, size, x.shape[last] - size)}, last);
}
