// Every kernel of a model, compiled by itself. They run in turns, one run each,
// so that a kernel's weights have left the caches when its turn comes again, as
// in the model.
#include "ProfileKernels.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

namespace {
constexpr size_t FewestRounds = 5;

struct Kernel {
  const Json *about;
  std::unique_ptr<LoadedModel> model;
  std::vector<Tensor> inputs;
  Sampler sampler;

  int uses() const { return about->at("uses"); }
  double total() const { return sampler.time() * uses(); }
  std::string text(const char *field) const { return about->at(field); }
};
} // namespace

int profileKernels(const KernelOptions &options) {
  KernelTrials trials(options, /*chosenOnly=*/true);
  if (trials.status())
    return trials.status();
  Threads threads(options.threads);
  std::vector<Kernel> kernels;
  for (const Json &trial : trials.list()) {
    std::unique_ptr<LoadedModel> model = trials.load(trial);
    if (!model)
      throw std::runtime_error("fulgurc does not compile the kernel of " +
                               trial.at("kernel").get<std::string>());
    kernels.push_back({&trial, std::move(model), {}, {}});
  }
  for (Kernel &kernel : kernels) {
    kernel.inputs = inputsOf(*kernel.about, *kernel.model);
    kernel.sampler.run = std::make_unique<ModelRun>(
        *kernel.model, kernel.inputs, threads.executor());
  }
  auto start = std::chrono::steady_clock::now();
  for (size_t round = 0; round < FewestRounds ||
                         std::chrono::steady_clock::now() - start <
                             std::chrono::duration<double>(options.duration);
       ++round)
    for (Kernel &kernel : kernels)
      kernel.sampler.sample();
  std::ranges::sort(kernels, std::greater(), &Kernel::total);
  double sum = std::transform_reduce(
      kernels.begin(), kernels.end(), 0.0, std::plus(),
      [](const Kernel &kernel) { return kernel.total(); });
  std::printf("%10s %6s %5s %10s  %s\n", "ms", "share", "uses", "ms each",
              "kernel: operands; schedule");
  for (const Kernel &kernel : kernels) {
    std::string schedule = kernel.text("schedule");
    std::printf("%10.4f %4.0f %% %5d %10.4f  %s: %s; %s\n", kernel.total(),
                100 * kernel.total() / sum, kernel.uses(),
                kernel.sampler.time(), kernel.text("kernel").c_str(),
                kernel.text("operands").c_str(),
                schedule.empty() ? "generic" : schedule.c_str());
  }
  std::printf("%10.4f ms in %zu kernels, %s, %d thread(s)\n", sum,
              kernels.size(), trials.cpu().c_str(), options.threads);
  return 0;
}
