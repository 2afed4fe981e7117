// IEEE half precision and bfloat16 as bits.
#ifndef FULGUR_HALF_H
#define FULGUR_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double fulgur__from_half(uint16_t bits) {
  int exponent = bits >> 10 & 31;
  double mantissa = bits & 0x3FF, sign = bits >> 15 ? -1 : 1;
  if (exponent == 31)
    return mantissa != 0 ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexp(mantissa + 1024, exponent - 25)
                          : ldexp(mantissa, -24));
}

/// Rounds to the nearest, to the even one of two.
static inline uint16_t fulgur__to_half(double value) {
  uint16_t sign = signbit(value) ? 0x8000 : 0;
  value = fabs(value);
  if (isnan(value))
    return sign | 0x7E00;
  if (value >= 65520)
    return sign | 0x7C00;
  if (value < 0x1p-14) // less than the normal numbers; may become the first
    return (uint16_t)(sign | (uint16_t)nearbyint(ldexp(value, 24)));
  int exponent;
  frexp(value, &exponent);
  uint16_t units = (uint16_t)nearbyint(ldexp(value, 11 - exponent));
  return (uint16_t)(sign | (((exponent + 14) << 10) + (units - 1024)));
}

static inline double fulgur__from_bfloat(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static inline uint16_t fulgur__to_bfloat(double value) {
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  if (isnan(value))
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif // FULGUR_HALF_H
