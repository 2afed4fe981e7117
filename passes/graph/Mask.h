// Masks of attention: which keys a query sees, whatever form it has in a model.
#pragma once
#include "passes/graph/Term.h"

namespace fulgur {
/// A score that is `score` where `visible` holds, and so low elsewhere that the
/// key has no weight: `hidden`, or that added to anything.
struct Mask {
  const Term *visible;
  const Term *score;
  double hidden;
};

/// Finds one by asking what becomes of the score where a condition holds and
/// where it does not.
std::optional<Mask> maskOf(Terms &terms, const Term *score);

/// What a condition says about query i, one of `queries`, and key j.
struct Visibility {
  std::optional<Number> offset; ///< j <= i + offset
  std::optional<Number> start;  ///< j >= i + start
  /// What is added to the number; may be null.
  const Term *ownOffset = nullptr, *ownStart = nullptr;
  llvm::SmallVector<const Term *> others;
};
Visibility visibilityOf(Terms &terms, const Term *visible, unsigned i,
                        unsigned j, const Number &queries);

/// Whether a score may have been made low by anything but the product: it has
/// constants like those of masks, or numbers that the caller gives.
bool mayHide(const Term *score);
} // namespace fulgur
