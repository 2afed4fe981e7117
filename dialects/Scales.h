// What is said of states that have scales.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace fulgur {
/// Of an argument of @main that is a state: it has the scales of the rows of
/// bytes that are in another argument, the one of this number.
inline constexpr llvm::StringLiteral kScalesOfAttr = "fulgur.scales_of";
} // namespace fulgur
