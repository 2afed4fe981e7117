// A format is described by its widths and by what its greatest codes mean
// (ONNX's "Float stored in 8 bits", "4 bits" and "6 bits"; OCP 8-bit Floating
// Point Specification; OCP Microscaling Formats).
#include "frontends/onnx/Narrow.h"
#include "llvm/ADT/APFloat.h"
#include <cmath>
#include <limits>

using namespace fulgur::onnx;
using llvm::APFloat;

namespace {
struct Format {
  int exponent, mantissa, bias;
  int greatest;             ///< code of the greatest number
  int overflow, notANumber; ///< codes of what is beyond it, and of NaN
  bool unsignedZero;        ///< no -0: its code is NaN
  const llvm::fltSemantics &semantics;

  int signBit() const { return 1 << (exponent + mantissa); }
};

Format formatOf(DType type) {
  switch (type) {
  case DType::f8e4m3fn:
    return {4, 3, 7, 0x7e, 0x7f, 0x7f, false, APFloat::Float8E4M3FN()};
  case DType::f8e4m3fnuz:
    return {4, 3, 8, 0x7f, 0x80, 0x80, true, APFloat::Float8E4M3FNUZ()};
  case DType::f8e5m2:
    return {5, 2, 15, 0x7b, 0x7c, 0x7e, false, APFloat::Float8E5M2()};
  case DType::f8e5m2fnuz:
    return {5, 2, 16, 0x7f, 0x80, 0x80, true, APFloat::Float8E5M2FNUZ()};
  // Without NaN and infinity: NaN is a zero.
  case DType::f6e2m3:
    return {2, 3, 1, 0x1f, 0x1f, 0x20, false, APFloat::Float6E2M3FN()};
  case DType::f6e3m2:
    return {3, 2, 3, 0x1f, 0x1f, 0x20, false, APFloat::Float6E3M2FN()};
  default:
    return {2, 1, 1, 7, 7, 8, false, APFloat::Float4E2M1FN()};
  }
}

Scalar masked(const Scalar &bits, double mask) {
  return bits & bits.like(mask);
}

/// 2^(code - 127); 255 is NaN.
Scalar decodePower(const Scalar &code) {
  Scalar bits = code * code.like(1 << 23);
  bits = select(equal(code, code.like(0)), bits.like(1 << 22), bits);
  bits = select(equal(code, code.like(255)), bits.like(0x7fc00000), bits);
  return reinterpret(bits, DType::f32);
}

/// The exponent, rounded as told; infinity and NaN are 255. Signs are dropped.
Scalar encodePower(const Scalar &bits, const Conversion &how) {
  Scalar exponent = masked(bits / bits.like(1 << 23), 255),
         fraction = masked(bits, 0x7fffff);
  Scalar isSpecial = equal(exponent, exponent.like(255));
  Scalar up = fraction > 0;
  if (how.rounding == Conversion::Rounding::down)
    return exponent;
  if (how.rounding == Conversion::Rounding::nearest)
    // Halves go up, but for those between zero and the least power.
    up = fraction > fraction.like(0x400000) |
         (equal(fraction, fraction.like(0x400000)) & exponent > 0);
  if (how.saturate)
    up = up & ~equal(exponent, exponent.like(254));
  return exponent + convert(up & ~isSpecial, exponent.type);
}
} // namespace

Scalar fulgur::onnx::decodeNarrow(const Scalar &x) {
  Scalar code = convert(reinterpret(x, DType::u8), DType::u32);
  if (x.type == DType::f8e8m0)
    return decodePower(code);
  Format f = formatOf(x.type);
  Scalar magnitude = masked(code, f.signBit() - 1),
         sign = masked(code, f.signBit());
  Scalar normal =
      reinterpret(magnitude * magnitude.like(1 << (23 - f.mantissa)) +
                      magnitude.like((127 - f.bias) << 23),
                  DType::f32);
  Scalar subnormal = convert(reinterpret(magnitude, DType::i32), DType::f32) *
                     std::ldexp(1.0, 1 - f.bias - f.mantissa);
  Scalar value =
      select(magnitude < magnitude.like(1 << f.mantissa), subnormal, normal);
  Scalar nan = value.like(std::numeric_limits<double>::quiet_NaN());
  if (f.unsignedZero)
    value = select(equal(code, code.like(f.notANumber)), nan, value);
  else if (f.greatest + 1 < f.signBit()) {
    if (f.overflow != f.notANumber)
      value =
          select(equal(magnitude, magnitude.like(f.overflow)),
                 value.like(std::numeric_limits<double>::infinity()), value);
    int firstNaN = f.overflow + (f.overflow != f.notANumber);
    value = select(magnitude < magnitude.like(firstNaN), value, nan);
  }
  Scalar bits = reinterpret(value, DType::u32);
  return reinterpret(bits | sign * sign.like(double(0x80000000u / f.signBit())),
                     DType::f32);
}

Scalar fulgur::onnx::encodeNarrow(const Scalar &x, DType type,
                                  const Conversion &how) {
  Scalar bits = reinterpret(x, DType::u32);
  if (type == DType::f8e8m0)
    return reinterpret(convert(encodePower(bits, how), DType::u8), type);
  Format f = formatOf(type);
  Scalar magnitude = masked(bits, 0x7fffffff),
         sign = (bits / bits.like(0x80000000u)) * bits.like(f.signBit());
  // Round the bits that do not fit to even, and change the bias.
  int drop = 23 - f.mantissa;
  Scalar unit = bits.like(1 << drop);
  Scalar normal = (magnitude + masked(magnitude / unit, 1) +
                   unit.like((1 << (drop - 1)) - 1)) /
                      unit -
                  unit.like((127 - f.bias) << f.mantissa);
  // Below the least normal number, codes count units.
  Scalar units = round(reinterpret(magnitude, DType::f32) *
                       std::ldexp(1.0, f.bias - 1 + f.mantissa));
  Scalar subnormal = reinterpret(convert(units, DType::i32), DType::u32);
  Scalar isSmall = magnitude < magnitude.like(double((128 - f.bias) << 23));
  Scalar code = select(isSmall, subnormal, normal);
  Scalar greatest = code.like(f.greatest);
  code = select(code > greatest,
                how.saturate ? greatest : code.like(f.overflow), code);
  code = select(magnitude > magnitude.like(0x7f800000), code.like(f.notANumber),
                code);
  Scalar isSigned = code ^ sign;
  if (f.unsignedZero)
    isSigned = select(equal(masked(code, 0x7f), code.like(0)), code, isSigned);
  return reinterpret(convert(isSigned, DType::u8), type);
}

int64_t fulgur::onnx::encodeNarrow(DType type, double number) {
  if (type == DType::f8e8m0 && number == 0)
    return 0; // the least power
  APFloat value(number);
  bool lost;
  value.convert(type == DType::f8e8m0 ? APFloat::Float8E8M0FNU()
                                      : formatOf(type).semantics,
                APFloat::rmNearestTiesToEven, &lost);
  return int64_t(value.bitcastToAPInt().getZExtValue());
}
