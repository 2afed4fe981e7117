// What a model of float32 is computed with.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace fulgur {

/// The numbers that weights, and what they are multiplied with, are stored as.
/// Sums, and everything between products, are float32 in any case.
enum class Precision { f32, bf16 };

inline llvm::StringRef precisionName(Precision precision) {
  return precision == Precision::bf16 ? "bf16" : "f32";
}

} // namespace fulgur
