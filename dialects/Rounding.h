// What is said of how numbers are rounded.
#pragma once
#include "llvm/ADT/StringRef.h"

namespace fulgur {
/// The attribute of a product that must not become one operation, with one
/// rounding, with the sum that it goes into.
inline constexpr llvm::StringLiteral kRoundedAttr = "fulgur.rounded";
} // namespace fulgur
