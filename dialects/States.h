// What is said of states: arguments of @main that are one buffer with a result.
#pragma once
#include "mlir/IR/Value.h"
#include "llvm/ADT/StringRef.h"

namespace fulgur {
/// Of an argument of @main that is a state: it has the scales of the rows of
/// bytes that are in another argument, the one of this number.
inline constexpr llvm::StringLiteral kScalesOfAttr = "fulgur.scales_of";

/// Whether `value` is an argument of a function that is a state.
bool isStateArgument(mlir::Value value);
} // namespace fulgur
