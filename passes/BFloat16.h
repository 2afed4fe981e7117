// bfloat16 as a number of the compiler's own: what constants are rounded to.
#pragma once
#include "llvm/ADT/bit.h"
#include <cstdint>

namespace fulgur {
struct BFloat16 {
  uint16_t bits;

  BFloat16() = default;
  /// The one next to `x`, the even one of two.
  explicit BFloat16(float x) {
    auto wide = llvm::bit_cast<uint32_t>(x);
    bits = x != x ? wide >> 16 | 0x40 // still a NaN
                  : (wide + 0x7fff + (wide >> 16 & 1)) >> 16;
  }
  operator float() const { return llvm::bit_cast<float>(uint32_t(bits) << 16); }
};
} // namespace fulgur
