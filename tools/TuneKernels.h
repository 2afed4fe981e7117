// fulgur-bench --tune: measures the schedules of a model's kernels.
#ifndef FULGUR_TOOLS_TUNEKERNELS_H
#define FULGUR_TOOLS_TUNEKERNELS_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct TuneOptions {
  std::string model;    ///< ONNX file
  std::string database; ///< is written, with what it has of other kernels
  std::map<std::string, int64_t> dims; ///< sizes of dims that stay symbolic
  std::vector<std::string> compilerArguments;
  int threads = 1;
  double duration = 1; ///< seconds for each kernel
};

/// Measures and says what came out. Returns what fulgurc exits with when it
/// cannot compile the model, else 0. Throws std::runtime_error.
int tuneKernels(const TuneOptions &options);

#endif // FULGUR_TOOLS_TUNEKERNELS_H
