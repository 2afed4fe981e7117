// What operations of the driver are made with.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// Calls the function of the runtime (runtime/Frame.h) with these values,
/// constants and numbers; returns what it makes.
llvm::SmallVector<Value> steps(const Core &c, StringRef name,
                               mlir::ValueRange values,
                               ArrayRef<mlir::Attribute> immediates,
                               size_t results, mlir::ValueRange numbers = {});
inline Value step(const Core &c, StringRef name, mlir::ValueRange values,
                  ArrayRef<mlir::Attribute> immediates = {},
                  mlir::ValueRange numbers = {}) {
  return steps(c, name, values, immediates, 1, numbers).front();
}

/// A constant argument of a step.
inline mlir::Attribute immediate(const Core &c, int64_t number) {
  return c.program.driver.getI32IntegerAttr(number);
}

/// The type of the elements of a sequence of maps, which only outputs are:
/// FULGUR_MAP of runtime/fulgur.h.
inline constexpr DType mapType = DType(102);

/// The value in the driver; nothing for an operand that is left out.
Value operand(const Core &c, const Tensor &x);

/// A tensor of the driver whose dims are symbols that the driver defines;
/// `name` is what messages call it.
Tensor ofUnknownSize(const Core &c, Value value, DType type, size_t rank,
                     StringRef name);

} // namespace fulgur::onnx
