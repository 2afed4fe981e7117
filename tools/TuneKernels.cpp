// fulgurc makes a small model of each kernel with each schedule; they are
// compiled, run in turns on the same inputs, and the fastest schedule goes into
// the database.
#include "TuneKernels.h"
#include "LoadedModel.h"
#include "RandomInputs.h"
#include "RunCompiler.h"
#include "ZipFile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

namespace {

constexpr const char *Format = "fulgur-tuning-1"; // as fulgurc reads it
constexpr double Gain = 1.03;                     ///< less than this is noise
constexpr double Hopeless = 1.5, Behind = 1.1; ///< multiples of the best time
constexpr size_t FirstRounds = 5;
constexpr double ShortestSample = 0.05; ///< milliseconds

using Clock = std::chrono::steady_clock;

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

json parseFile(const fs::path &path, const char *what) {
  std::ifstream stream(path);
  json value = json::parse(stream, nullptr, /*allow_exceptions=*/false);
  if (!stream || value.is_discarded() || !value.is_object())
    throw std::runtime_error("'" + path.string() + "' is not " + what);
  return value;
}

/// A kernel with one schedule.
struct Trial {
  std::string schedule;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<ModelRun> run;
  std::vector<double> samples; ///< milliseconds of one run

  /// Disturbances only make runs slower: a low quantile says most.
  double time() const {
    std::vector<double> sorted = samples;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 4];
  }
};

/// All schedules of one kernel; the first is the one that fulgurc would choose.
class Kernel {
public:
  Kernel(const json &list, const fs::path &folder, const TuneOptions &options)
      : about(list.front()) {
    std::vector<std::string> arguments = options.compilerArguments;
    arguments.insert(arguments.end(), {"--emit=so", "-q"});
    for (const json &item : list) {
      fs::path source = folder / item.at("file").get<std::string>();
      fs::path library = fs::path(source).replace_extension(".so");
      Trial trial;
      trial.schedule = item.at("schedule");
      // A schedule that is not built is a fault of the compiler, but none that
      // keeps others from being measured.
      if (runCompiler(source, library, arguments))
        continue;
      trial.model =
          std::make_unique<LoadedModel>(library, LoadedModel::Options());
      trials.push_back(std::move(trial));
    }
    std::string usual = about.at("schedule");
    if (trials.empty() || trials.front().schedule != usual)
      throw std::runtime_error("fulgurc does not compile its own schedule " +
                               usual);
  }

  void measure(fulgur_executor *executor, double duration) {
    RandomOptions random;
    for (const auto &[name, size] : about.at("sizes").items())
      random.dims[name] = size;
    inputs = randomInputs(trials.front().model->descriptor(), random);
    for (Trial &trial : trials) {
      trial.run = std::make_unique<ModelRun>(*trial.model, inputs, executor);
      trial.run->run();
    }
    Clock::time_point first = Clock::now();
    trials.front().run->run();
    int repetitions =
        1 + int(ShortestSample / std::max(millisecondsSince(first), 1e-4));
    std::vector<Trial *> left;
    for (Trial &trial : trials)
      left.push_back(&trial);
    Clock::time_point start = Clock::now();
    for (size_t round = 0;
         round < FirstRounds || millisecondsSince(start) < duration * 1e3;
         ++round) {
      for (size_t i = 0; i < left.size(); ++i)
        sample(*left[(i + round) % left.size()], repetitions);
      if (round + 1 >= FirstRounds)
        drop(left,
             millisecondsSince(start) < duration * 500 ? Hopeless : Behind);
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

  json entry(const std::string &cpu, int threads) const {
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
  static void sample(Trial &trial, int repetitions) {
    Clock::time_point start = Clock::now();
    for (int i = 0; i < repetitions; ++i)
      trial.run->run();
    trial.samples.push_back(millisecondsSince(start) / repetitions);
  }

  /// Leaves out what is too slow to win, but never the first, which all others
  /// are compared with.
  void drop(std::vector<Trial *> &left, double limit) const {
    double least = (*std::ranges::min_element(left, {}, &Trial::time))->time();
    std::erase_if(left, [&](Trial *trial) {
      return trial != &trials.front() && trial->time() > least * limit;
    });
  }

  json about;
  std::vector<Tensor> inputs;
  std::vector<Trial> trials;
  Trial *best = nullptr;
};

/// The file as it is, or a new one.
json readDatabase(const std::string &path) {
  if (!fs::exists(path))
    return {{"format", Format}, {"kernels", json::array()}};
  json database = parseFile(path, "a tuning database");
  if (database.value("format", "") != Format || !database.contains("kernels") ||
      !database["kernels"].is_array())
    throw std::runtime_error("'" + path +
                             "' is not a tuning database of the "
                             "format " +
                             Format);
  return database;
}

/// Trials of one kernel stand together in the list.
std::vector<json> groups(const json &trials) {
  std::vector<json> kernels;
  for (const json &trial : trials) {
    if (kernels.empty() || kernels.back().front().at("key") != trial.at("key"))
      kernels.push_back(json::array());
    kernels.back().push_back(trial);
  }
  return kernels;
}

} // namespace

int tuneKernels(const TuneOptions &options) {
  json database = readDatabase(options.database);
  TemporaryFolder folder;
  std::vector<std::string> arguments = options.compilerArguments;
  arguments.push_back("--tuning-kernels=" + folder.path.string());
  for (const auto &[name, size] : options.dims)
    arguments.push_back("--tuning-size=" + name + "=" + std::to_string(size));
  if (int status = runCompiler(options.model, folder.path / "model", arguments))
    return status;
  json index = parseFile(folder.path / "index.json", "a list of kernels");
  std::string cpu = index.at("cpu");
  Threads threads(options.threads);
  size_t faster = 0;
  std::vector<json> kernels = groups(index.at("trials"));
  for (const json &list : kernels) {
    Kernel kernel(list, folder.path, options);
    kernel.measure(threads.executor(), options.duration);
    kernel.print();
    std::string key = list.front().at("key");
    auto &entries = database["kernels"].get_ref<json::array_t &>();
    std::erase_if(entries, [&](const json &entry) {
      return entry.value("key", "") == key && entry.value("cpu", "") == cpu;
    });
    if (kernel.improved()) {
      entries.push_back(kernel.entry(cpu, options.threads));
      ++faster;
    }
    writeFile(options.database, database.dump(1) + "\n");
  }
  std::printf("%zu of %zu kernels have a faster schedule, in '%s' for %s\n",
              faster, kernels.size(), options.database.c_str(), cpu.c_str());
  return 0;
}
