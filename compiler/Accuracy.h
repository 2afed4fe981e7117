// How far the outputs of a model in fewer bits are from those in float32.
#pragma once
#include "llvm/Support/Error.h"
#include <functional>
#include <string>
#include <vector>

namespace fulgur {

/// Of one output, on all data.
struct OutputError {
  std::string output, type;
  double maxAbsolute = 0;
  double maxRelative = 0; ///< of the largest value in float32
  double rms = 0;         ///< root of the mean square
};

struct Accuracy {
  std::string data; ///< what the model was run on
  std::vector<OutputError> outputs;
};

/// Runs the library, whose weights may be in a file, and the same model in
/// float32.
using MeasureAccuracy = std::function<llvm::Expected<Accuracy>(
    const std::string &library, const std::string &weights)>;

} // namespace fulgur
