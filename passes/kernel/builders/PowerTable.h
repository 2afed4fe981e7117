// Powers of 2 that are rounded to bfloat16, two of neighbouring keys at a time.
#pragma once
#include "passes/kernel/builders/Attention.h"

namespace fulgur {
/// An exponent of 7 binary places, plus bfloat16's bias of 127, is the number's
/// bits but for the last 7: 128 of them, which one instruction picks from a
/// table. So is what takes a polynomial, a scaling and a rounding for each
/// number; the relative error is 0.0027 more at most than that of rounding.
struct PowerTable {
  AttentionEmitter &a;
  Emitter &e = a.e;
  mlir::Value lower{}, upper{}; ///< halves of the table

  /// Whether the target has the instruction, and the powers are for pairs.
  static bool serves(AttentionEmitter &a);
  /// Makes the constants where the builder stands.
  void prepare();
  /// The change of powers when the greatest score does from `before` to `now`.
  mlir::Value change(mlir::Value before, mlir::Value now);

  /// A strip of queries: the scores of `rows` keys, from `column` on in rows of
  /// `width`, become powers of their difference to the greatest one, in pairs
  /// of keys; one that has no partner has -∞. Returns `sums` with the powers
  /// added; NaN where a score was.
  llvm::SmallVector<mlir::Value> strip(llvm::ArrayRef<mlir::Value> greatest,
                                       llvm::ArrayRef<mlir::Value> sums,
                                       mlir::Value scores, mlir::Value rows,
                                       mlir::Value column, int64_t width);

  /// What scores are compared with, prepared. All are too large for -∞.
  mlir::Value origin(mlir::Value greatest);
  /// The powers of two keys' scores, added to `sum`. What is too large, and
  /// NaN, makes a power of 2^126.
  mlir::Value pair(mlir::Value first, mlir::Value second, mlir::Value origin,
                   mlir::Value &sum);

private:
  mlir::Value exponent(mlir::Value score);
  mlir::Value fixedPoint(mlir::Value score, mlir::Value origin);
  mlir::Value bitsOf(mlir::Value sum);
  mlir::Value add(mlir::Value pair, mlir::Value sum);
  mlir::Value powers(mlir::Value first, mlir::Value second);
};
} // namespace fulgur
