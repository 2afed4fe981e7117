// What the passes need to know about the machine that the code is for. Filled
// from pass options.
#pragma once
#include <cstdint>

namespace fulgur {
/// The vector unit of a CPU.
struct Target {
  int64_t vectorBytes = 32;     ///< 16: SSE and NEON, 32: AVX2, 64: AVX-512
  int64_t vectorRegisters = 16; ///< 32 on AVX-512 and AArch64
  bool fma = true;              ///< vector.fma is one instruction
  bool bf16 = false; ///< AVX512-BF16: sums of two products of bfloat16 are one
                     ///< instruction, and so is rounding to it
  bool vbmi = false; ///< AVX512-VBMI: a byte picks one of a table of 128
  bool strassen = false; ///< large products gain by Strassen's algorithm:
                         ///< additions run beside multiplications
  bool amx = false;      ///< tiles of bfloat16 and of bytes
  bool vnni = false; ///< sums of four products of an unsigned and a signed byte
                     ///< are one instruction: AVX512-VNNI, AVX-VNNI, I8MM
  bool dotprod = false; ///< the same of two unsigned ones: AArch64's DotProd
  bool halves = false;  ///< vectors of half the size take half the time

  /// How many elements of `bits` bits one register holds.
  int64_t lanes(int64_t bits = 32) const { return vectorBytes * 8 / bits; }
};
} // namespace fulgur
