// A model's kernels as small models of their own, which fulgurc makes, compiled
// and ready to be measured.
#ifndef FULGUR_TOOLS_KERNELTRIALS_H
#define FULGUR_TOOLS_KERNELTRIALS_H

#include "LoadedModel.h"
#include "RunCompiler.h"

#include <map>
#include <nlohmann/json.hpp>

struct KernelOptions {
  std::string model;                   ///< ONNX file
  std::map<std::string, int64_t> dims; ///< sizes of dims that stay symbolic
  std::vector<std::string> compilerArguments;
  int threads = 1;
  double duration = 1; ///< seconds, for each kernel or for all
};

using Json = nlohmann::ordered_json;

/// Reads a JSON file that holds an object; throws std::runtime_error, "'path'
/// is not <what>".
Json parseFile(const std::filesystem::path &path, const std::string &what);

/// The small models of all kernels, not compiled yet.
class KernelTrials {
public:
  /// `chosenOnly`: all kernels, each with the schedule it would get; else
  /// kernels that have several, with all of them. Throws std::runtime_error.
  KernelTrials(const KernelOptions &options, bool chosenOnly);

  /// What fulgurc exits with when it cannot compile the model, else 0.
  int status() const { return code; }
  const std::string &cpu() const { return name; }
  const Json &list() const { return trials; }

  /// Compiles and loads one of the list; null when it does not compile.
  std::unique_ptr<LoadedModel> load(const Json &trial) const;

private:
  const KernelOptions &options;
  TemporaryFolder folder;
  int code;
  std::string name;
  Json trials;
};

/// Random inputs of the sizes that a trial was made for.
std::vector<Tensor> inputsOf(const Json &trial, const LoadedModel &model);

/// A small model that is run again and again.
struct Sampler {
  std::unique_ptr<ModelRun> run;
  std::vector<double> samples{}; ///< milliseconds of one run

  /// Takes one sample, of as many runs as the clock needs.
  void sample();
  /// Disturbances only make runs slower: a low quantile says most.
  double time() const;

private:
  int repetitions = 0;
};

#endif // FULGUR_TOOLS_KERNELTRIALS_H
