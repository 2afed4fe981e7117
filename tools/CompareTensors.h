// How far a result is from its reference.
#ifndef FULGUR_TOOLS_COMPARETENSORS_H
#define FULGUR_TOOLS_COMPARETENSORS_H

#include "Tensor.h"

#include <optional>

/// What still counts as right for floating-point tensors; integers, booleans
/// and strings must be equal.
struct Tolerance {
  double maxRelative = 1e-4; ///< of the largest reference value
  /// Instead of that, elementwise: |result - reference| <= atol + rtol *
  /// |reference|.
  std::optional<double> rtol, atol;
};

struct Difference {
  double maxAbsolute = 0;
  double maxRelative = 0;  ///< max |result - reference| / max |reference|
  double rms = 0;          ///< root of the mean square of the differences
  int64_t firstWrong = -1; ///< element outside the elementwise tolerance, or
                           ///< string that differs
  std::string wrong;       ///< how, as in "element 3 is 1 instead of 2"
  bool ok = true;
};

/// A NaN equals a NaN only, and an infinity itself. Of a sequence, the
/// elements' largest differences count. Throws std::runtime_error when the
/// types or dims differ.
Difference compareTensors(const Tensor &result, const Tensor &reference,
                          const Tolerance &tolerance);

/// Have they the same types, dims and bits?
bool sameBits(const Tensor &a, const Tensor &b);

#endif // FULGUR_TOOLS_COMPARETENSORS_H
