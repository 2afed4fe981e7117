// The schedules of each kernel run in turns on the same inputs, and the fastest
// goes into the database.
#include "TuneKernels.h"
#include "ZipFile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

namespace fs = std::filesystem;

namespace {

constexpr const char *Format = "fulgur-tuning-1"; // as fulgurc reads it
constexpr double Gain = 1.03;                     ///< less than this is noise
constexpr double Hopeless = 1.5, Behind = 1.1; ///< multiples of the best time
constexpr size_t FirstRounds = 5;

/// A kernel with one schedule.
struct Trial {
  std::string schedule;
  std::unique_ptr<LoadedModel> model;
  Sampler sampler;

  double time() const { return sampler.time(); }
};

/// All schedules of one kernel; the first is the one that fulgurc would choose.
class Kernel {
public:
  Kernel(const Json &list, const KernelTrials &all) : about(list.front()) {
    for (const Json &item : list) {
      // A schedule that is not built is a fault of the compiler, but none that
      // keeps others from being measured.
      if (std::unique_ptr<LoadedModel> model = all.load(item))
        trials.push_back({item.at("schedule"), std::move(model), {}});
    }
    std::string usual = about.at("schedule");
    if (trials.empty() || trials.front().schedule != usual)
      throw std::runtime_error("fulgurc does not compile its own schedule " +
                               usual);
  }

  void measure(fulgur_executor *executor, double duration) {
    inputs = inputsOf(about, *trials.front().model);
    std::vector<Trial *> left;
    for (Trial &trial : trials) {
      trial.sampler.run =
          std::make_unique<ModelRun>(*trial.model, inputs, executor);
      left.push_back(&trial);
    }
    auto start = std::chrono::steady_clock::now();
    auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                           start)
          .count();
    };
    for (size_t round = 0; round < FirstRounds || seconds() < duration;
         ++round) {
      for (size_t i = 0; i < left.size(); ++i)
        left[(i + round) % left.size()]->sampler.sample();
      if (round + 1 >= FirstRounds)
        drop(left, seconds() < duration / 2 ? Hopeless : Behind);
    }
    best = *std::ranges::min_element(left, {}, &Trial::time);
  }

  bool improved() const {
    return best != &trials.front() &&
           trials.front().time() > best->time() * Gain;
  }

  void print() const {
    const Trial &usual = trials.front();
    std::string name = about.at("kernel");
    std::printf("%s: %zu schedules, %.4g ms with %s", name.c_str(),
                trials.size(), usual.time(), usual.schedule.c_str());
    if (improved())
      std::printf(", %.4g ms (%.2f times as fast) with %s", best->time(),
                  usual.time() / best->time(), best->schedule.c_str());
    std::printf("\n");
    std::fflush(stdout);
  }

  Json entry(const std::string &cpu, int threads) const {
    return {{"key", about.at("key")},
            {"cpu", cpu},
            {"schedule", best->schedule},
            {"kernel", about.at("kernel")},
            {"sizes", about.at("sizes")},
            {"threads", threads},
            {"milliseconds", best->time()},
            {"instead_of", trials.front().schedule},
            {"milliseconds_of_that", trials.front().time()}};
  }

private:
  /// Leaves out what is too slow to win, but never the first, which all others
  /// are compared with.
  void drop(std::vector<Trial *> &left, double limit) const {
    double least = (*std::ranges::min_element(left, {}, &Trial::time))->time();
    std::erase_if(left, [&](Trial *trial) {
      return trial != &trials.front() && trial->time() > least * limit;
    });
  }

  Json about;
  std::vector<Tensor> inputs;
  std::vector<Trial> trials;
  Trial *best = nullptr;
};

/// The file as it is, or a new one.
Json readDatabase(const std::string &path) {
  if (!fs::exists(path))
    return {{"format", Format}, {"kernels", Json::array()}};
  Json database = parseFile(path, "a tuning database");
  if (database.value("format", "") != Format || !database.contains("kernels") ||
      !database["kernels"].is_array())
    throw std::runtime_error("'" + path +
                             "' is not a tuning database of the "
                             "format " +
                             Format);
  return database;
}

/// Trials of one kernel stand together in the list.
std::vector<Json> groups(const Json &trials) {
  std::vector<Json> kernels;
  for (const Json &trial : trials) {
    if (kernels.empty() || kernels.back().front().at("key") != trial.at("key"))
      kernels.push_back(Json::array());
    kernels.back().push_back(trial);
  }
  return kernels;
}

} // namespace

int tuneKernels(const KernelOptions &options, const std::string &path) {
  Json database = readDatabase(path);
  KernelTrials trials(options, /*chosenOnly=*/false);
  if (trials.status())
    return trials.status();
  Threads threads(options.threads);
  size_t faster = 0;
  std::vector<Json> kernels = groups(trials.list());
  for (const Json &list : kernels) {
    Kernel kernel(list, trials);
    kernel.measure(threads.executor(), options.duration);
    kernel.print();
    std::string key = list.front().at("key");
    auto &entries = database["kernels"].get_ref<Json::array_t &>();
    std::erase_if(entries, [&](const Json &entry) {
      return entry.value("key", "") == key &&
             entry.value("cpu", "") == trials.cpu();
    });
    if (kernel.improved()) {
      entries.push_back(kernel.entry(trials.cpu(), options.threads));
      ++faster;
    }
    writeFile(path, database.dump(1) + "\n");
  }
  std::printf("%zu of %zu kernels have a faster schedule, in '%s' for %s\n",
              faster, kernels.size(), path.c_str(), trials.cpu().c_str());
  return 0;
}
