// Tensors of quantized numbers, and of integers less a zero point.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include <optional>

namespace fulgur {
/// A scale or zero point: one number, or one for each index of a dim of the
/// tensor that it belongs to.
template <typename T> struct Parameter {
  llvm::SmallVector<T> numbers; ///< empty when it is not known
  int dim = -1;                 ///< -1: one number
  mlir::Value scalar;           ///< else a tensor of one element

  static Parameter constant(T number) { return {{number}, -1, {}}; }
  bool is(T number) const {
    return !scalar && llvm::all_of(numbers, [&](T n) { return n == number; });
  }
};

/// (integers - zero) * scale, or without the scale as i32; moved by reshapes,
/// transposes, slices and paddings with zeros.
struct Quantized {
  mlir::Value source; ///< the integers before they are moved: bytes, or a
                      ///< constant
  bool isUnsigned = false;
  mlir::ElementsAttr constant; ///< what `source` is, with reshapes only behind
                               ///< it; else null
  Parameter<float> scale = Parameter<float>::constant(1);
  Parameter<int32_t> zero = Parameter<int32_t>::constant(0);
  int32_t zeroOffset = 0; ///< added to a zero point that is not known, which is
                          ///< signed or not as the source was
  bool zeroIsUnsigned = false;
  llvm::SmallVector<mlir::Operation *> moves; ///< behind the source, in order
};

/// Reads where `value`, of f32 or i32, comes from.
std::optional<Quantized> matchQuantized(mlir::Value value);

/// The integers of a constant, each of them as it is.
llvm::SmallVector<int32_t> integersOf(mlir::ElementsAttr constant,
                                      bool isUnsigned);

/// Bytes whose first bit has been turned over, by what they were.
using FlippedBytes = llvm::DenseMap<mlir::Value, mlir::Value>;
/// Makes the source bytes, with a sign or without. What is not constant is
/// changed by an elementwise operation behind it. False when its dims are not
/// known.
bool setUnsigned(Quantized &q, bool isUnsigned, FlippedBytes &flipped);

/// The bytes where `q` was read. A constant becomes one, and `q.constant` is
/// that. Null when dims are not known.
mlir::Value moved(mlir::OpBuilder &builder, Quantized &q);

/// Reads `q` without a transpose behind which only dims of size 1 are dropped,
/// and `map`, which reads where it was, in the other order.
mlir::AffineMap withoutTranspose(Quantized &q, mlir::AffineMap map,
                                 mlir::OpBuilder &builder);

/// An empty tensor of the dims of `like`; null when they are not known.
mlir::Value emptyLike(mlir::OpBuilder &builder, mlir::Value like,
                      mlir::Type element);
} // namespace fulgur
