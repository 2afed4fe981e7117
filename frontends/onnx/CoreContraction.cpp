// Products of matrices.
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Without the leading dims of size 1, and which of `batch` the others are.
Tensor withoutUnits(const Core &c, const Tensor &x, size_t batch,
                    SmallVectorImpl<int64_t> &dims) {
  Shape shape;
  for (int64_t k = 0; k < x.rank(); ++k) {
    bool leading = k < x.rank() - 2;
    if (leading && x.shape[k].is(1))
      continue;
    if (leading)
      dims.push_back(batch - (x.rank() - 2) + k);
    shape.push_back(x.shape[k]);
  }
  return c.reshape(x, shape);
}
} // namespace

Tensor Core::matmul2d(const Tensor &a, const Tensor &b, bool transposed,
                      std::optional<DType> sums) const {
  Extent inner = b.shape[transposed ? 1 : 0],
         columns = b.shape[transposed ? 0 : 1];
  requireEqual(a.shape[1], inner,
               "the inner sizes of a product of " + text(a.shape) + " and " +
                   (transposed ? "transposed " : "") + text(b.shape));
  DType type = computeType(a.type);
  Shape shape{a.shape[0], columns};
  Value in[] = {value(a), value(b)}, out = filled(shape, type, 0);
  Value result =
      transposed ? linalg::MatmulTransposeBOp::create(
                       builder, loc, TypeRange{out.getType()}, in, out)
                       .getResult(0)
                 : linalg::MatmulOp::create(builder, loc,
                                            TypeRange{out.getType()}, in, out)
                       .getResult(0);
  return cast(tensor(result, type, shape), sums.value_or(a.type));
}

Tensor Core::matmul(const Tensor &a, const Tensor &b) const {
  if (a.rank() == 0 || b.rank() == 0)
    fail("a matrix product needs tensors of rank 1 or more, not " +
         text(a.shape) + " and " + text(b.shape));
  if (a.rank() == 1) {
    Tensor result = matmul(unsqueeze(a, {0}), b);
    return squeeze(result, {b.rank() == 1 ? -1 : -2});
  }
  if (b.rank() == 1)
    return squeeze(matmul(a, unsqueeze(b, {1})), {-1});
  Extent rows = a.shape[a.rank() - 2], inner = a.shape[a.rank() - 1],
         columns = b.shape[b.rank() - 1];
  ArrayRef<Extent> batchA = ArrayRef(a.shape).drop_back(2),
                   batchB = ArrayRef(b.shape).drop_back(2);
  requireEqual(inner, b.shape[b.rank() - 2],
               "the inner sizes of a product of " + text(a.shape) + " and " +
                   text(b.shape));
  Shape batch = broadcast(batchA, batchB), shape(batch);
  shape.append({rows, columns});

  // What may or may not broadcast is spread out before.
  auto spread = [&](const Tensor &x, ArrayRef<Extent> own) {
    ArrayRef<Extent> along = ArrayRef(batch).take_back(own.size());
    if (llvm::none_of(llvm::zip(own, along), [&](auto dims) {
          return spreadsLate(std::get<0>(dims), std::get<1>(dims));
        }))
      return x;
    Shape whole(along);
    llvm::append_range(whole, ArrayRef(x.shape).take_back(2));
    return broadcastTo(x, whole);
  };
  if (Tensor wideA = spread(a, batchA), wideB = spread(b, batchB);
      wideA.shape != a.shape || wideB.shape != b.shape)
    return matmul(wideA, wideB);

  // One matrix on the right: all rows on the left are rows of one product.
  if (llvm::all_of(batchB, [](const Extent &size) { return size.is(1); })) {
    Tensor flat = matmul2d(reshape(a, {product(batchA) * rows, inner}),
                           reshape(b, {b.shape[b.rank() - 2], columns}), false);
    return reshape(flat, shape);
  }
  DType type = computeType(a.type);
  Extent count = product(batch);
  if (batch.size() == 1 && sizes.atoms.knownEqual(product(batchA), count) &&
      sizes.atoms.knownEqual(product(batchB), count)) {
    Shape flat{count, rows, columns};
    Value in[] = {value(reshape(a, {count, rows, inner})),
                  value(reshape(b, {count, inner, columns}))},
          out = filled(flat, type, 0);
    Value result = linalg::BatchMatmulOp::create(
                       builder, loc, TypeRange{out.getType()}, in, out)
                       .getResult(0);
    return reshape(cast(tensor(result, type, flat), a.type), shape);
  }
  // The general case: loops over the batch, rows, columns, and the sum.
  unsigned loops = batch.size() + 3;
  auto dim = [&](int64_t k) { return builder.getAffineDimExpr(k); };
  SmallVector<int64_t> dimsA, dimsB;
  Tensor left = withoutUnits(*this, a, batch.size(), dimsA),
         right = withoutUnits(*this, b, batch.size(), dimsB);
  SmallVector<AffineExpr> atA, atB, atOut;
  for (int64_t k : dimsA)
    atA.push_back(dim(k));
  for (int64_t k : dimsB)
    atB.push_back(dim(k));
  for (size_t k = 0; k < batch.size() + 2; ++k)
    atOut.push_back(dim(k));
  atA.append({dim(loops - 3), dim(loops - 1)});
  atB.append({dim(loops - 1), dim(loops - 2)});
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> at :
       {ArrayRef<AffineExpr>(atA), ArrayRef<AffineExpr>(atB),
        ArrayRef<AffineExpr>(atOut)})
    maps.push_back(AffineMap::get(loops, 0, at, builder.getContext()));
  SmallVector<utils::IteratorType> kinds(loops - 1,
                                         utils::IteratorType::parallel);
  kinds.push_back(utils::IteratorType::reduction);
  Value in[] = {value(left), value(right)}, out = filled(shape, type, 0);
  auto generic = linalg::GenericOp::create(
      builder, loc, out.getType(), in, out, maps, kinds,
      [&](OpBuilder &inside, Location, ValueRange v) {
        Body body = this->body(&inside);
        auto scalar = [&](Value value, DType from) {
          return convert(Scalar{&body, from, value, std::nullopt}, type);
        };
        linalg::YieldOp::create(
            inside, loc,
            (scalar(v[2], type) + scalar(v[0], a.type) * scalar(v[1], b.type))
                .emit());
      });
  return cast(tensor(generic.getResult(0), type, shape), a.type);
}
