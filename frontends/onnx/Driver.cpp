#include "frontends/onnx/Driver.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

SmallVector<Value> fulgur::onnx::steps(const Core &c, StringRef name,
                                       ValueRange values,
                                       ArrayRef<Attribute> immediates,
                                       size_t results, ValueRange numbers) {
  c.program.split();
  OpBuilder &b = c.program.driver;
  SmallVector<Type> types(results, ValueType::get(b.getContext()));
  return StepOp::create(b, c.loc, types, b.getStringAttr(name), values, numbers,
                        b.getArrayAttr(immediates))
      .getResults();
}

Value fulgur::onnx::operand(const Core &c, const Tensor &x) {
  if (x)
    return c.outside(x);
  c.program.split();
  return NoneOp::create(c.program.driver, c.loc,
                        ValueType::get(c.program.driver.getContext()));
}

Tensor fulgur::onnx::ofUnknownSize(const Core &c, Value value, DType type,
                                   size_t rank, StringRef name) {
  Tensor result = c.inside(value, type, {});
  for (size_t axis = 0; axis < rank; ++axis)
    result.shape.push_back(c.program.defineDim((name + "." + Twine(axis)).str(),
                                               value, axis, c.loc));
  return result;
}
