// There are at most 256 codes, so the nearest one is found by looking at all.
#include "NarrowNumber.h"

#include <cmath>
#include <limits>

namespace {

constexpr double Infinity = std::numeric_limits<double>::infinity(),
                 NaN = std::numeric_limits<double>::quiet_NaN();

/// Sign, exponent and mantissa; `special` is the first magnitude that is no
/// number, infinity if `hasInfinity` and else NaN.
struct Format {
  unsigned exponent, mantissa;
  int bias;
  unsigned special;
  bool hasInfinity, unsignedZero;
};

double decode(const Format &f, unsigned code) {
  unsigned sign = 1u << (f.exponent + f.mantissa),
           magnitude = code & (sign - 1);
  if (f.unsignedZero && code == sign)
    return NaN;
  if (magnitude >= f.special)
    return f.hasInfinity && magnitude == f.special
               ? (code & sign ? -Infinity : Infinity)
               : NaN;
  unsigned exponent = magnitude >> f.mantissa, unit = 1u << f.mantissa;
  unsigned fraction = magnitude & (unit - 1);
  double value = exponent ? std::ldexp(unit + fraction,
                                       int(exponent) - f.bias - int(f.mantissa))
                          : std::ldexp(fraction, 1 - f.bias - int(f.mantissa));
  return code & sign ? -value : value;
}

double signedInteger(unsigned code, unsigned bits) {
  return code >> (bits - 1) ? double(code) - double(1u << bits) : code;
}

} // namespace

unsigned narrowBits(fulgur_dtype dtype) {
  switch (dtype) {
  case FULGUR_FLOAT8E4M3FN:
  case FULGUR_FLOAT8E4M3FNUZ:
  case FULGUR_FLOAT8E5M2:
  case FULGUR_FLOAT8E5M2FNUZ:
  case FULGUR_FLOAT8E8M0:
    return 8;
  case FULGUR_FLOAT6E2M3:
  case FULGUR_FLOAT6E3M2:
    return 6;
  case FULGUR_UINT4:
  case FULGUR_INT4:
  case FULGUR_FLOAT4E2M1:
    return 4;
  case FULGUR_UINT2:
  case FULGUR_INT2:
    return 2;
  default:
    return 0;
  }
}

double decodeNarrow(fulgur_dtype dtype, unsigned code) {
  switch (dtype) {
  case FULGUR_FLOAT8E4M3FN:
    return decode({4, 3, 7, 0x7f, false, false}, code);
  case FULGUR_FLOAT8E4M3FNUZ:
    return decode({4, 3, 8, 0x80, false, true}, code);
  case FULGUR_FLOAT8E5M2:
    return decode({5, 2, 15, 0x7c, true, false}, code);
  case FULGUR_FLOAT8E5M2FNUZ:
    return decode({5, 2, 16, 0x80, false, true}, code);
  case FULGUR_FLOAT6E2M3:
    return decode({2, 3, 1, 0x20, false, false}, code);
  case FULGUR_FLOAT6E3M2:
    return decode({3, 2, 3, 0x20, false, false}, code);
  case FULGUR_FLOAT4E2M1:
    return decode({2, 1, 1, 8, false, false}, code);
  case FULGUR_FLOAT8E8M0:
    return code == 255 ? NaN : std::ldexp(1.0, int(code) - 127);
  case FULGUR_INT4:
    return signedInteger(code, 4);
  case FULGUR_INT2:
    return signedInteger(code, 2);
  default:
    return code;
  }
}

unsigned encodeNarrow(fulgur_dtype dtype, double value) {
  unsigned best = 0;
  double least = Infinity;
  for (unsigned code = 0; code < 1u << narrowBits(dtype); ++code) {
    double number = decodeNarrow(dtype, code);
    if (std::isnan(value) && std::isnan(number))
      return code;
    double distance = number == value ? 0 : std::fabs(number - value);
    bool isEven = code % 2 == 0 && std::signbit(number) == std::signbit(value);
    if (distance < least || (distance == least && isEven)) {
      best = code;
      least = distance;
    }
  }
  return best;
}
