// What a model of float32 is computed with.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace fulgur {

/// The numbers that weights, and what they are multiplied with, are stored as.
/// Sums, and everything between products, are float32 in any case.
/// `int4Group...` are weights of 4 bits, so many of which share a scale.
enum class Precision { f32, bf16, int4Group32, int4Group128 };

} // namespace fulgur
