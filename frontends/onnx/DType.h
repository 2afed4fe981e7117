// ONNX's element types.
#pragma once
#include "mlir/IR/Types.h"
#include <cstdint>

namespace fulgur::onnx {
/// Element types, numbered as ONNX numbers them; `index` is the type of
/// coordinates inside a loop.
enum class DType : int32_t {
  index = -1,
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  bf16 = 16,
  complex64 = 14,
  complex128 = 15,
  f8e4m3fn = 17,
  f8e4m3fnuz = 18,
  f8e5m2 = 19,
  f8e5m2fnuz = 20,
  u4 = 21,
  i4 = 22,
  f4e2m1 = 23,
  f8e8m0 = 24,
  u2 = 25,
  i2 = 26,
  f6e2m3 = 27,
  f6e3m2 = 28,
};

bool isReal(DType);
bool isUnsigned(DType);
/// f16 and bf16, whose arithmetic is done in f32.
bool isHalf(DType);
/// The type that numbers are computed and summed up in: f32 for f16 and bf16,
/// else the type itself.
DType computeType(DType);
/// An integer of 8 bits or more, signed or not; neither BOOL nor an index.
bool isInteger(DType);
/// Floating point of 8 bits and fewer and integers of less than 8 bits: types
/// that numbers are stored in but not computed with. Inside a model each
/// element is a byte: the bits of a number, or the integer.
bool isNarrow(DType);
/// Narrow floating point.
bool isNarrowReal(DType);
/// Narrow types of which several share a byte outside a model.
bool isPacked(DType);
/// Whether the MLIR type does not tell the ONNX type of a tensor between parts
/// of a program. Packed types are int8 there.
bool needsName(DType);
/// Bits of an element in ONNX's raw data; 0 for types that are not supported.
unsigned bitWidth(DType);
/// "float", "int64": as ONNX spells types.
llvm::StringRef name(DType);
/// The MLIR type, i1 for BOOL and signless for integers; null for types that
/// are not supported.
mlir::Type mlirType(DType, mlir::MLIRContext *);
} // namespace fulgur::onnx
