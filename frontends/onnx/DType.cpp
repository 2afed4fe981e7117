#include "frontends/onnx/DType.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace fulgur::onnx;

bool fulgur::onnx::isReal(DType t) {
  return t == DType::f32 || t == DType::f64 || isHalf(t);
}
bool fulgur::onnx::isHalf(DType t) {
  return t == DType::f16 || t == DType::bf16;
}
DType fulgur::onnx::computeType(DType t) { return isHalf(t) ? DType::f32 : t; }
bool fulgur::onnx::isUnsigned(DType t) {
  return t == DType::u8 || t == DType::u16 || t == DType::u32 ||
         t == DType::u64 || t == DType::boolean || t == DType::u4 ||
         t == DType::u2 || isNarrowReal(t);
}
bool fulgur::onnx::isInteger(DType t) {
  return !isReal(t) && !isNarrow(t) && bitWidth(t) >= 8 && t != DType::index;
}
bool fulgur::onnx::isNarrowReal(DType t) {
  switch (t) {
  case DType::f8e4m3fn:
  case DType::f8e4m3fnuz:
  case DType::f8e5m2:
  case DType::f8e5m2fnuz:
  case DType::f8e8m0:
  case DType::f6e2m3:
  case DType::f6e3m2:
  case DType::f4e2m1:
    return true;
  default:
    return false;
  }
}
bool fulgur::onnx::isNarrow(DType t) {
  return isNarrowReal(t) || t == DType::u4 || t == DType::i4 ||
         t == DType::u2 || t == DType::i2;
}
bool fulgur::onnx::needsName(DType t) {
  return (isInteger(t) && isUnsigned(t)) || (isNarrow(t) && !isPacked(t));
}
bool fulgur::onnx::isPacked(DType t) { return isNarrow(t) && bitWidth(t) < 8; }

unsigned fulgur::onnx::bitWidth(DType t) {
  switch (t) {
  case DType::boolean:
    return 1;
  case DType::u2:
  case DType::i2:
    return 2;
  case DType::u4:
  case DType::i4:
  case DType::f4e2m1:
    return 4;
  case DType::f6e2m3:
  case DType::f6e3m2:
    return 6;
  case DType::u8:
  case DType::i8:
  case DType::f8e4m3fn:
  case DType::f8e4m3fnuz:
  case DType::f8e5m2:
  case DType::f8e5m2fnuz:
  case DType::f8e8m0:
    return 8;
  case DType::u16:
  case DType::i16:
  case DType::f16:
  case DType::bf16:
    return 16;
  case DType::u32:
  case DType::i32:
  case DType::f32:
    return 32;
  case DType::u64:
  case DType::i64:
  case DType::f64:
  case DType::index:
    return 64;
  case DType::string: // a pointer and a length
    return 128;
  default:
    return 0;
  }
}

StringRef fulgur::onnx::name(DType t) {
  switch (t) {
  case DType::index:
    return "index";
  case DType::f32:
    return "float";
  case DType::u8:
    return "uint8";
  case DType::i8:
    return "int8";
  case DType::u16:
    return "uint16";
  case DType::i16:
    return "int16";
  case DType::i32:
    return "int32";
  case DType::i64:
    return "int64";
  case DType::string:
    return "string";
  case DType::boolean:
    return "bool";
  case DType::f16:
    return "float16";
  case DType::f64:
    return "double";
  case DType::u32:
    return "uint32";
  case DType::u64:
    return "uint64";
  case DType::bf16:
    return "bfloat16";
  case DType::complex64:
    return "complex64";
  case DType::complex128:
    return "complex128";
  case DType::f8e4m3fn:
    return "float8e4m3fn";
  case DType::f8e4m3fnuz:
    return "float8e4m3fnuz";
  case DType::f8e5m2:
    return "float8e5m2";
  case DType::f8e5m2fnuz:
    return "float8e5m2fnuz";
  case DType::u4:
    return "uint4";
  case DType::i4:
    return "int4";
  case DType::f4e2m1:
    return "float4e2m1";
  case DType::f8e8m0:
    return "float8e8m0";
  case DType::u2:
    return "uint2";
  case DType::i2:
    return "int2";
  case DType::f6e2m3:
    return "float6e2m3";
  case DType::f6e3m2:
    return "float6e3m2";
  default:
    return "undefined";
  }
}

Type fulgur::onnx::mlirType(DType t, MLIRContext *context) {
  switch (t) {
  case DType::f32:
    return Float32Type::get(context);
  case DType::f64:
    return Float64Type::get(context);
  case DType::f16:
    return Float16Type::get(context);
  case DType::bf16:
    return BFloat16Type::get(context);
  case DType::index:
    return IndexType::get(context);
  default:
    if (isNarrow(t))
      return IntegerType::get(context, 8);
    return bitWidth(t) ? Type(IntegerType::get(context, bitWidth(t))) : Type();
  }
}
