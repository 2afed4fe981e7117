// Small models of kernels: made, compiled, run.
#include "KernelTrials.h"
#include "RandomInputs.h"

#include <algorithm>
#include <chrono>
#include <fstream>

namespace fs = std::filesystem;

namespace {
constexpr double ShortestSample = 0.05; // milliseconds

using Clock = std::chrono::steady_clock;

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}
} // namespace

Json parseFile(const fs::path &path, const std::string &what) {
  std::ifstream stream(path);
  Json value = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!stream || value.is_discarded() || !value.is_object())
    throw std::runtime_error("'" + path.string() + "' is not " + what);
  return value;
}

KernelTrials::KernelTrials(const KernelOptions &options, bool chosenOnly)
    : options(options) {
  std::vector<std::string> arguments = options.compilerArguments;
  arguments.push_back("--tuning-kernels=" + folder.path.string());
  if (chosenOnly)
    arguments.push_back("--tuning-chosen");
  for (const auto &[name, size] : options.dims)
    arguments.push_back("--tuning-size=" + name + "=" + std::to_string(size));
  code = runCompiler(options.model, folder.path / "model", arguments);
  if (code)
    return;
  Json index = parseFile(folder.path / "index.json", "a list of kernels");
  name = index.at("cpu");
  trials = index.at("trials");
}

std::unique_ptr<LoadedModel> KernelTrials::load(const Json &trial) const {
  std::vector<std::string> arguments = options.compilerArguments;
  arguments.insert(arguments.end(), {"--emit=so", "-q"});
  fs::path source = folder.path / trial.at("file").get<std::string>();
  fs::path library = fs::path(source).replace_extension(".so");
  if (runCompiler(source, library, arguments))
    return nullptr;
  return std::make_unique<LoadedModel>(library, LoadedModel::Options());
}

std::vector<Tensor> inputsOf(const Json &trial, const LoadedModel &model) {
  RandomOptions random;
  for (const auto &[name, size] : trial.at("sizes").items())
    random.dims[name] = size;
  return randomInputs(model.descriptor(), random);
}

void Sampler::sample() {
  if (!repetitions) { // the first run touches memory for the first time
    run->run();
    Clock::time_point start = Clock::now();
    run->run();
    repetitions =
        1 + int(ShortestSample / std::max(millisecondsSince(start), 1e-4));
  }
  Clock::time_point start = Clock::now();
  for (int i = 0; i < repetitions; ++i)
    run->run();
  samples.push_back(millisecondsSince(start) / repetitions);
}

double Sampler::time() const {
  std::vector<double> sorted = samples;
  std::ranges::sort(sorted);
  return sorted[sorted.size() / 4];
}
