// Constants are built as raw bytes: an attribute per element would cost more
// than the table.
#include "frontends/onnx/Table.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace fulgur::onnx;

static Tensor constant(const Core &c, DType type, ArrayRef<int64_t> shape,
                       DenseElementsAttr dense) {
  Shape extents(shape.begin(), shape.end());
  TypedAttr attribute = dense;
  if (dense.getNumElements() > 64 && !dense.isSplat() && type != DType::boolean)
    attribute = DenseResourceElementsAttr::get(
        c.typeOf(extents, type), "table",
        HeapAsmResourceBlob::allocateAndCopyWithAlign(dense.getRawData(), 64));
  return c.tensor(arith::ConstantOp::create(c.builder, c.loc, attribute), type,
                  extents);
}

Tensor fulgur::onnx::realTable(const Core &c, DType type,
                               ArrayRef<int64_t> shape,
                               ArrayRef<double> numbers) {
  RankedTensorType target = c.typeOf(Shape(shape.begin(), shape.end()), type);
  if (type == DType::f64)
    return constant(c, type, shape, DenseElementsAttr::get(target, numbers));
  if (type == DType::f32)
    return constant(
        c, type, shape,
        DenseElementsAttr::get(target, ArrayRef(SmallVector<float, 0>(
                                           numbers.begin(), numbers.end()))));
  return c.cast(realTable(c, DType::f32, shape, numbers), type);
}

Tensor fulgur::onnx::integerTable(const Core &c, DType type,
                                  ArrayRef<int64_t> shape,
                                  ArrayRef<int64_t> numbers) {
  RankedTensorType target = c.typeOf(Shape(shape.begin(), shape.end()), type);
  unsigned bits = target.getElementTypeBitWidth();
  if (bits == 64)
    return constant(c, type, shape, DenseElementsAttr::get(target, numbers));
  SmallVector<APInt, 0> values;
  for (int64_t number : numbers)
    values.push_back(APInt(64, number).trunc(bits));
  return constant(c, type, shape, DenseElementsAttr::get(target, values));
}
