#include "frontends/onnx/Fold.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

Tensor fulgur::onnx::fold(const Core &c, ArrayRef<Extent> shape,
                          ArrayRef<Extent> reduced, DType type,
                          const Element &start, ArrayRef<Tensor> in,
                          FoldStep step) {
  MLIRContext *context = c.builder.getContext();
  DType accumulator = computeType(type);
  Shape all(shape);
  all.append(reduced.begin(), reduced.end());
  unsigned loops = all.size();
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  auto addOperand = [&](Value value, ArrayRef<AffineExpr> at) {
    operands.push_back(value);
    maps.push_back(AffineMap::get(loops, 0, at, context));
  };
  for (const Tensor &x : in) {
    SmallVector<AffineExpr> at;
    for (size_t k = 0; k < x.shape.size(); ++k) {
      size_t dim = loops - x.shape.size() + k;
      bool spread = c.sizes.atoms.simplify(x.shape[k]).is(1) &&
                    !c.sizes.atoms.simplify(all[dim]).is(1);
      at.push_back(spread ? getAffineConstantExpr(0, context)
                          : getAffineDimExpr(dim, context));
    }
    addOperand(c.value(x), at);
  }
  // Loops take their sizes from operands; this one is never read. Its last dim
  // is the result's, which makes that the innermost loop.
  SmallVector<AffineExpr> window;
  Shape windowShape(reduced);
  for (unsigned k = shape.size(); k < loops; ++k)
    window.push_back(getAffineDimExpr(k, context));
  if (!shape.empty()) {
    window.push_back(getAffineDimExpr(shape.size() - 1, context));
    windowShape.push_back(shape.back());
  }
  addOperand(c.empty(windowShape, DType::u8), window);

  Body here = c.body(&c.builder);
  Scalar first{&here, accumulator, Value(), start};
  Value out = linalg::FillOp::create(c.builder, c.loc, first.emit(),
                                     c.empty(shape, accumulator))
                  .getResult(0);
  maps.push_back(AffineMap::getMultiDimIdentityMap(loops, context)
                     .getMajorSubMap(shape.size()));
  SmallVector<utils::IteratorType> kinds(shape.size(),
                                         utils::IteratorType::parallel);
  kinds.append(reduced.size(), utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(
      c.builder, c.loc, out.getType(), operands, out, maps, kinds,
      [&](OpBuilder &inside, Location, ValueRange values) {
        Body body = c.body(&inside);
        SmallVector<Scalar> elements, at;
        for (auto [k, x] : llvm::enumerate(in)) {
          Scalar element{&body, x.type, values[k], std::nullopt};
          elements.push_back(isHalf(x.type) ? convert(element, DType::f32)
                                            : element);
        }
        for (unsigned k = 0; k < loops; ++k)
          at.push_back({&body, DType::index,
                        linalg::IndexOp::create(inside, c.loc, k),
                        std::nullopt});
        Scalar total{&body, accumulator, values.back(), std::nullopt};
        Value result =
            convert(step(body, elements, at, total), accumulator).emit();
        for (Scalar &index : at)
          if (index.value.use_empty())
            index.value.getDefiningOp()->erase();
        linalg::YieldOp::create(inside, c.loc, result);
      });
  return c.cast(c.tensor(generic.getResult(0), accumulator, Shape(shape)),
                type);
}

Scalar fulgur::onnx::boundedIndex(const Scalar &x, const Extent &low,
                                  const Extent &high) {
  Scalar least = convert(Scalar::extent(*x.body, DType::index, low), x.type),
         most = convert(Scalar::extent(*x.body, DType::index, high), x.type);
  Scalar above = select(x > least, x, least); // NaN is not above
  Scalar index = convert(convert(select(above < most, above, most), DType::i64),
                         DType::index);
  // A size that the floating-point type rounds up must not be reached.
  return minimum(index, Scalar::extent(*x.body, DType::index, high));
}

DType fulgur::onnx::weightType(DType type) {
  return type == DType::f64 || (!isReal(type) && bitWidth(type) >= 32)
             ? DType::f64
             : DType::f32;
}

Scalar fulgur::onnx::saturated(const Scalar &x, DType type) {
  if (isReal(type))
    return convert(x, type);
  unsigned digits = bitWidth(type) - (isUnsigned(type) ? 0 : 1);
  double least = isUnsigned(type) ? 0 : -std::ldexp(1.0, digits),
         behind = std::ldexp(1.0, digits); // a double, the greatest may not be
  Scalar rounded = round(x);
  Scalar inside = select(rounded > least, rounded, rounded.like(least));
  Scalar fits = inside < behind;
  Scalar greatest{x.body, type, Value(), highest(type)};
  return select(fits, convert(select(fits, inside, inside.like(0)), type),
                greatest);
}
