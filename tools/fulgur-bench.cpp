// fulgur-bench: measures latency and throughput of a compiled model, alone or
// interleaved with another one.
#include "CompareTensors.h"
#include "LatencyStatistics.h"
#include "LoadOptions.h"
#include "ProfileKernels.h"
#include "RandomInputs.h"
#include "TensorFile.h"
#include "TuneKernels.h"
#include "ZipFile.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <sstream>

namespace {

using Clock = std::chrono::steady_clock;

enum ExitStatus { Success = 0, Failure = 1, Usage = 2 };

struct Options {
  std::string model, compare, json, randomRange, tune,
      compileArguments = "--mcpu=native";
  std::vector<std::string> inputs, dims;
  LoadedModel::Options load, loadCompared;
  RandomOptions random;
  bool kernels = false;
  int threads = 1;
  double warmup = 0.2, duration = 3;
  int64_t iterations = 10;
};

constexpr const char *Examples = R"(
  Runs go on until both the duration and the number of iterations are reached.
  Percentiles are nearest-rank. With --compare, both models get the same inputs
  and run in turns, so that what disturbs the machine disturbs both.

EXAMPLES
  fulgur-bench model.so --dim batch=1 --dim sequence=128 --threads 2
  fulgur-bench model.so --inputs test_data_set_0 --json result.json
  fulgur-bench new.so --compare old.so --dim batch=1 --dim sequence=128
  fulgur-bench model.onnx --tune db.json --dim batch=1 --dim sequence=128
  fulgurc model.onnx -o out/model --mcpu=native --tuning-db db.json

  fulgur-bench model.onnx --kernels --dim batch=1 --dim sequence=128

EXIT STATUS
  0 measured; 1 the model or a file is bad; 2 wrong usage. With --tune and
  --kernels, what fulgurc exits with when it fails.
)";

void addOptions(CLI::App &app, Options &options) {
  app.add_option("MODEL", options.model,
                 "Library that fulgurc made; with --tune and --kernels, an "
                 "ONNX file")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("-i,--inputs", options.inputs,
                 "Inputs from files, as for fulgur-run; default: random ones")
      ->type_name("PLACE...");
  app.add_option(
         "--dim", options.dims,
         "Size of a symbolic dim of random inputs; default: the smallest")
      ->type_name("NAME=N");
  app.add_option("--random-range", options.randomRange,
                 "Values of random inputs; default: -1..1 for floats, 0..3 for "
                 "integers")
      ->type_name("LO..HI");
  app.add_option("--seed", options.random.seed, "Seed of random inputs")
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads; 0 is one for each CPU that may be used")
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "Seconds of runs before measuring")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--duration", options.duration, "Seconds of measured runs")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--iterations", options.iterations, "Measured runs at least")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--compare", options.compare,
                 "Another model, measured interleaved with the first")
      ->type_name("OTHER")
      ->check(CLI::ExistingFile);
  app.add_option("--json", options.json,
                 "Write the figures in google-benchmark's schema")
      ->type_name("FILE");
  app.add_option("--tune", options.tune,
                 "Measure the schedules that MODEL's kernels can have, and "
                 "write the fastest into a database for fulgurc --tuning-db; "
                 "--duration is for each kernel")
      ->type_name("FILE");
  app.add_flag("--kernels", options.kernels,
               "Measure each kernel of MODEL by itself: where the time goes")
      ->excludes("--tune");
  app.add_option("--compile-args", options.compileArguments,
                 "With --tune and --kernels: arguments for fulgurc (write "
                 "--compile-args=..., since they begin with a dash)")
      ->capture_default_str();
  addLoadOptions(app, options.load);
  for (const char *alone : {"--tune", "--kernels"})
    app.get_option("--load-weights")->excludes(alone);
  app.add_option("--compare-weights", options.loadCompared.weights,
                 "Weights file of OTHER")
      ->type_name("FILE");
}

/// --tune and --kernels.
int measureKernels(const Options &options) {
  KernelOptions kernels;
  kernels.model = options.model;
  kernels.dims = options.random.dims;
  std::istringstream words(options.compileArguments);
  kernels.compilerArguments = {std::istream_iterator<std::string>(words), {}};
  kernels.threads = options.threads;
  kernels.duration = options.duration;
  return options.kernels ? profileKernels(kernels)
                         : tuneKernels(kernels, options.tune);
}

/// Reads what --dim and --random-range say. Throws CLI::ValidationError.
void parseValues(Options &options) {
  options.loadCompared.loadWeights = options.load.loadWeights;
  for (const std::string &text : options.dims) {
    size_t at = text.rfind('=');
    char *end = nullptr;
    long long size =
        at == std::string::npos ? -1 : std::strtoll(&text[at + 1], &end, 10);
    if (!end || end == &text[at + 1] || *end || size < 0)
      throw CLI::ValidationError("--dim", "'" + text + "' is not NAME=N");
    options.random.dims[text.substr(0, at)] = size;
  }
  if (options.randomRange.empty())
    return;
  double low, high;
  int used = 0;
  // "%lf" would take the first dot of "1..2" for its own.
  size_t dots = options.randomRange.find("..");
  std::string spaced = options.randomRange;
  if (dots != std::string::npos)
    spaced.replace(dots, 2, "  ");
  if (std::sscanf(spaced.c_str(), "%lf %lf%n", &low, &high, &used) != 2 ||
      size_t(used) != spaced.size() || !(low <= high))
    throw CLI::ValidationError("--random-range",
                               "'" + options.randomRange + "' is not LO..HI");
  options.random.range = {low, high};
}

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

double cpuMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e3 + double(time.tv_nsec) * 1e-6;
}

/// A model on its way from a file to figures.
struct Candidate {
  std::string path;
  LoadedModel model;
  double loadTime;
  std::optional<ModelRun> run;
  double planTime = 0, firstRunTime = 0;
  Latencies latencies;

  Candidate(const std::string &path, const LoadedModel::Options &options,
            Clock::time_point start = Clock::now())
      : path(path), model(path, options), loadTime(millisecondsSince(start)) {}

  /// Plans, allocates and runs once.
  void prepare(const std::vector<Tensor> &inputs, fulgur_executor *executor) {
    Clock::time_point start = Clock::now();
    run.emplace(model, inputs, executor);
    planTime = millisecondsSince(start);
    start = Clock::now();
    run->run();
    firstRunTime = millisecondsSince(start);
  }

  double firstResult() const { return loadTime + planTime + firstRunTime; }

  void measure() {
    double cpu = cpuMilliseconds();
    Clock::time_point start = Clock::now();
    run->run();
    latencies.milliseconds.push_back(millisecondsSince(start));
    latencies.cpuMilliseconds += cpuMilliseconds() - cpu;
  }
};

/// Runs the candidates in turns, each as often as every other; who begins
/// changes.
void measureAll(std::vector<std::unique_ptr<Candidate>> &candidates,
                const Options &options) {
  Clock::time_point start = Clock::now();
  while (millisecondsSince(start) < options.warmup * 1e3)
    for (auto &candidate : candidates)
      candidate->run->run();
  start = Clock::now();
  double duration = options.duration * 1e3 * double(candidates.size());
  for (int64_t i = 0;
       i < options.iterations || millisecondsSince(start) < duration; ++i)
    for (size_t k = 0; k < candidates.size(); ++k)
      candidates[(k + size_t(i)) % candidates.size()]->measure();
}

void print(const Candidate &candidate, const LatencyStatistics &s) {
  std::printf("%s (%s, %s)\n", candidate.path.c_str(),
              candidate.model.descriptor().producer,
              candidate.model.descriptor().target);
  std::printf("First result: %.4g ms (load %.4g, plan and allocate %.4g, run "
              "%.4g), arena = %zu bytes\n",
              candidate.firstResult(), candidate.loadTime, candidate.planTime,
              candidate.firstRunTime, candidate.run->arenaBytes());
  std::printf("Throughput: %.6g qps (%zu runs, %.4g ms of CPU each)\n",
              s.throughput, s.runs, s.cpuMean);
  std::printf("Latency: min = %.5g ms, max = %.5g ms, mean = %.5g ms, median = "
              "%.5g ms, p90 = %.5g ms, p95 = %.5g ms, p99 = %.5g ms, p99.9 = "
              "%.5g ms\n",
              s.min, s.max, s.mean, s.median, s.p90, s.p95, s.p99, s.p999);
}

/// How the results differ, and which model is faster.
void printComparison(Candidate &a, Candidate &b,
                     const std::vector<BenchmarkEntry> &entries) {
  const std::vector<Tensor> &ours = a.run->results(),
                            &theirs = b.run->results();
  for (size_t i = 0; i < ours.size(); ++i) {
    Difference difference = compareTensors(ours[i], theirs[i], Tolerance());
    std::printf("Difference: '%s' max relative = %.3g\n", ours[i].name.c_str(),
                difference.maxRelative);
  }
  std::printf(
      "Ratio of medians: %.4g (%s / %s; below 1, the first is faster)\n",
      entries[0].statistics.median / entries[1].statistics.median,
      a.path.c_str(), b.path.c_str());
}

void benchmark(const Options &options, const char *executable) {
  Threads threads(options.threads);
  std::vector<std::unique_ptr<Candidate>> candidates;
  candidates.push_back(
      std::make_unique<Candidate>(options.model, options.load));
  if (!options.compare.empty())
    candidates.push_back(
        std::make_unique<Candidate>(options.compare, options.loadCompared));
  const LoadedModel &first = candidates.front()->model;
  std::vector<Tensor> inputs =
      options.inputs.empty()
          ? randomInputs(first.descriptor(), options.random)
          : arrange(readTensors(options.inputs, "input", first.inputs()),
                    first.inputs(), "input");
  std::printf("Inputs:");
  for (const Tensor &input : inputs)
    std::printf(" %s %s", input.name.c_str(), input.type().c_str());
  std::printf("\n");
  try {
    for (auto &candidate : candidates)
      candidate->prepare(inputs, threads.executor());
  } catch (const std::runtime_error &error) {
    if (!options.inputs.empty())
      throw;
    throw std::runtime_error(
        std::string(error.what()) +
        "\n  with random inputs: --random-range gives them "
        "other values, --inputs takes them from files");
  }
  measureAll(candidates, options);
  std::vector<BenchmarkEntry> entries;
  for (auto &candidate : candidates) {
    entries.push_back({std::filesystem::path(candidate->path).stem(),
                       options.threads, LatencyStatistics(candidate->latencies),
                       candidate->firstResult()});
    print(*candidate, entries.back().statistics);
  }
  if (candidates.size() == 2)
    printComparison(*candidates[0], *candidates[1], entries);
  if (!options.json.empty())
    writeFile(options.json, benchmarkJson(executable, entries));
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app(
      "Measures latency and throughput of a model that fulgurc compiled.",
      "fulgur-bench");
  Options options;
  addOptions(app, options);
  app.footer(Examples);
  app.set_version_flag("--version", "fulgur-bench " FULGUR_VERSION);
  app.get_formatter()->column_width(36);
  try {
    app.parse(argc, argv);
    parseValues(options);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? Success : Usage;
  }
  try {
    if (options.kernels || !options.tune.empty())
      return measureKernels(options);
    benchmark(options, argv[0]);
  } catch (const std::exception &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "fulgur-bench: error: %s\n", error.what());
    return Failure;
  }
  return Success;
}
