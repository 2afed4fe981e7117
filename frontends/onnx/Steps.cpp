// States are copied back into the memory they came from, so that a loop needs
// the same memory for any number of steps.
#include "frontends/onnx/Steps.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// One row of a tensor of the given shape, as a slice.
struct Row {
  SmallVector<OpFoldResult> offsets, sizes, strides;

  Row(const Core &c, ArrayRef<Extent> shape, const Scalar &at) {
    OpBuilder &b = c.builder;
    Shape one(shape);
    one[0] = 1;
    offsets.assign(shape.size(), b.getIndexAttr(0));
    offsets[0] = at.emit();
    sizes = c.sizesOf(one);
    strides.assign(shape.size(), b.getIndexAttr(1));
  }
};
} // namespace

Tensor fulgur::onnx::rowAt(const Core &c, const Tensor &x, const Scalar &at) {
  Row row(c, x.shape, at);
  Shape shape(x.shape.begin() + 1, x.shape.end());
  Value value = tensor::ExtractSliceOp::create(
      c.builder, c.loc, c.typeOf(shape, x.type), c.value(x), row.offsets,
      row.sizes, row.strides);
  return c.tensor(value, x.type, shape);
}

SmallVector<Tensor> Steps::run(const Extent &count, ArrayRef<Shape> rows,
                               ArrayRef<Tensor> states, Step step,
                               bool backwards) const {
  DType type = states[0].type;
  SmallVector<Value> carried;
  SmallVector<Shape> shapes;
  for (const Shape &row : rows) {
    shapes.push_back(row);
    shapes.back().insert(shapes.back().begin(), count);
    carried.push_back(c.empty(shapes.back(), type));
  }
  for (const Tensor &state : states)
    carried.push_back(c.value(state));
  SmallVector<Value> results =
      c.loop({count}, carried,
             [&](Body &body, ArrayRef<Scalar> at,
                 ValueRange now) -> SmallVector<Value> {
               Core inner{*body.builder, c.sizes, c.loc, c.program};
               Scalar number =
                   backwards
                       ? Scalar::extent(body, DType::index, count - 1) - at[0]
                       : at[0];
               Scalar place{&body, DType::index, number.emit(), std::nullopt};
               SmallVector<Tensor> before;
               for (auto [k, state] : llvm::enumerate(states))
                 before.push_back(
                     c.tensor(now[rows.size() + k], state.type, state.shape));
               Result result = step(inner, place, before);
               SmallVector<Value> next;
               for (auto [k, row] : llvm::enumerate(result.rows)) {
                 Row slice(inner, shapes[k], place);
                 next.push_back(tensor::InsertSliceOp::create(
                     inner.builder, c.loc, inner.value(row), now[k],
                     slice.offsets, slice.sizes, slice.strides));
               }
               for (const Tensor &state : result.states)
                 next.push_back(linalg::CopyOp::create(inner.builder, c.loc,
                                                       inner.value(state),
                                                       now[next.size()])
                                    .getResult(0));
               return next;
             });
  SmallVector<Tensor> tensors;
  for (auto [k, value] : llvm::enumerate(results))
    if (k < rows.size())
      tensors.push_back(c.tensor(value, type, shapes[k]));
    else
      tensors.push_back(c.tensor(value, states[k - rows.size()].type,
                                 states[k - rows.size()].shape));
  return tensors;
}
