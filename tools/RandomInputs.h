// Inputs made up for measurements.
#ifndef FULGUR_TOOLS_RANDOMINPUTS_H
#define FULGUR_TOOLS_RANDOMINPUTS_H

#include "Tensor.h"

#include <map>
#include <optional>

struct RandomOptions {
  std::map<std::string, int64_t> dims; ///< values of symbols
  /// Range of all values; without it, floats are in [-1, 1], integers small
  /// enough to be valid ids (0 to 3), and booleans any.
  std::optional<std::pair<double, double>> range;
  uint64_t seed = 0;
};

/// One tensor per input. A symbol without a given size gets the smallest one
/// that the model allows, but at least 1. Throws std::runtime_error when an
/// input's dims are not known then.
std::vector<Tensor> randomInputs(const fulgur_model &model,
                                 const RandomOptions &options);

#endif // FULGUR_TOOLS_RANDOMINPUTS_H
