// Elementwise loops over what strided insertions put together.
#pragma once
#include "mlir/IR/PatternMatch.h"

namespace fulgur {
/// Computes elementwise loops on the parts of an interleaving:
///
///   f(interleave(x0, x1, ...), s) = interleave(f(x0, s), f(x1, s), ...)
///
/// if `s` is the same for all parts. What makes a part then computes f, too,
/// and each element is written once.
void populateRaiseOverInterleavings(mlir::RewritePatternSet &patterns);
} // namespace fulgur
