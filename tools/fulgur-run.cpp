// fulgur-run: runs a compiled model on tensors from files, and compares.
#include "CompareTensors.h"
#include "LoadOptions.h"
#include "RunCompiler.h"
#include "TensorFile.h"

#include <cstdio>
#include <cstring>

namespace {

enum ExitStatus { Success = 0, Failure = 1, Usage = 2, OverTolerance = 4 };

struct Options {
  std::string model, outputs, compare, compileArguments;
  std::vector<std::string> inputs;
  LoadedModel::Options load;
  Tolerance tolerance;
  int threads = 1, runs = 1;
  bool compile = false, quiet = false;
};

constexpr const char *Examples = R"(
PLACES
  Tensors are read from an ONNX data set folder (input_0.pb, input_1.pb, ...), a
  folder of NAME.npy files, a .npz file, .npy and .pb files in the order of the
  model's inputs, or NAME=@FILE. Names win over order. A folder that holds
  test_data_set_0, test_data_set_1, ... stands for all of these sets. Where the
  model takes or gives a sequence or an optional, a .pb file holds a
  SequenceProto or OptionalProto instead of a TensorProto. States go in and come
  out as whole buffers.

EXAMPLES
  fulgur-run model.so --inputs test_data_set_0 --compare test_data_set_0
  fulgur-run model.so --inputs input_ids=@ids.npy mask=@mask.npy --outputs y.npz
  fulgur-run --compile model.onnx --inputs test_data_set_0 --outputs results

EXIT STATUS
  0 everything right; 1 the model or a file is bad; 2 wrong usage; 4 an output is
  outside the tolerance. With --compile, what fulgurc exits with when it fails.
)";

void addOptions(CLI::App &app, Options &options) {
  app.add_option("MODEL", options.model,
                 "Library that fulgurc made; with --compile, an ONNX file")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("-i,--inputs", options.inputs, "Where the inputs are (below)")
      ->type_name("PLACE...");
  app.add_option("-o,--outputs", options.outputs,
                 "Write the outputs to a .npz file, or to a folder as "
                 "output_0.pb, output_1.pb, ...")
      ->type_name("PLACE");
  app.add_option("--compare", options.compare,
                 "Compare the outputs with those at this place")
      ->type_name("PLACE");
  app.add_option(
         "--max-relative", options.tolerance.maxRelative,
         "Largest difference, relative to the reference's largest value")
      ->capture_default_str();
  app.add_option("--rtol", options.tolerance.rtol,
                 "Compare elementwise instead: |a - b| <= atol + rtol * |b|");
  app.add_option("--atol", options.tolerance.atol, "See --rtol");
  app.add_option("--threads", options.threads,
                 "Threads; 0 is one for each CPU that may be used")
      ->capture_default_str();
  app.add_option("--runs", options.runs,
                 "Run so many times, and fail unless all give the same bits")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  addLoadOptions(app, options.load);
  app.add_flag("--verify-weights", options.load.verifyWeights,
               "Check the hash of the weights file");
  app.add_flag("--compile", options.compile,
               "Compile MODEL with fulgurc into a temporary folder first");
  app.add_option("--compile-args", options.compileArguments,
                 "More arguments for fulgurc, separated by spaces (write "
                 "--compile-args=..., since they begin with a dash)")
      ->type_name("ARGS");
  app.add_flag("-q,--quiet", options.quiet, "Print failures only");
}

void printSummary(const Tensor &tensor);

/// The first strings of a tensor, or a line per element of a sequence.
void printPieces(const Tensor &tensor) {
  std::printf("%s %s", tensor.name.c_str(), tensor.type().c_str());
  constexpr int64_t Shown = 8;
  int64_t strings = tensor.isContainer() ? 0 : tensor.elements();
  for (int64_t i = 0; i < std::min(strings, Shown); ++i)
    std::printf("%s \"%s\"", i ? "," : ":", tensor.string(i).c_str());
  std::puts(strings > Shown ? ", ..." : "");
  for (const Tensor &part : tensor.parts)
    printSummary(part);
}

/// One line that tells what an output looks like.
void printSummary(const Tensor &tensor) {
  if (tensor.isContainer() || tensor.dtype == FULGUR_STRING)
    return printPieces(tensor);
  double least = INFINITY, most = -INFINITY, total = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double value = tensor.number(i);
    least = std::min(least, value);
    most = std::max(most, value);
    total += value;
  }
  std::printf("%s %s", tensor.name.c_str(), tensor.type().c_str());
  if (int64_t count = tensor.elements())
    std::printf(": min = %g, max = %g, mean = %g", least, most,
                total / double(count));
  std::printf("\n");
}

/// Prints a line per output; are all of them within the tolerance?
bool compareAll(const std::vector<Tensor> &outputs,
                const std::vector<Tensor> &references, const Options &options) {
  bool ok = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    Difference difference =
        compareTensors(outputs[i], references[i], options.tolerance);
    ok &= difference.ok;
    if (options.quiet && difference.ok)
      continue;
    std::printf("%s %s: max abs = %.3g, max relative = %.3g, rms = %.3g: %s",
                outputs[i].name.c_str(), outputs[i].type().c_str(),
                difference.maxAbsolute, difference.maxRelative, difference.rms,
                difference.ok ? "ok" : "FAIL");
    if (!difference.wrong.empty())
      std::printf(" (%s)", difference.wrong.c_str());
    std::printf("\n");
  }
  return ok;
}

/// Later runs must repeat the first one bit by bit.
void repeat(ModelRun &run, int runs) {
  std::vector<Tensor> first;
  for (const Tensor &output : run.results())
    first.push_back(Tensor::copy(output.name, output.view()));
  for (int i = 1; i < runs; ++i) {
    run.resetStates();
    run.run();
    const std::vector<Tensor> &again = run.results();
    for (size_t k = 0; k < first.size(); ++k)
      if (!sameBits(first[k], again[k]))
        throw std::runtime_error("run " + std::to_string(i + 1) + " gives '" +
                                 first[k].name + "' other bits than run 1");
  }
}

/// Runs one set of inputs; is the result within the tolerance?
bool runSet(const LoadedModel &model, const Options &options,
            fulgur_executor *executor) {
  std::vector<Tensor> inputs =
      arrange(readTensors(options.inputs, "input", model.inputs()),
              model.inputs(), "input");
  ModelRun run(model, inputs, executor);
  run.run();
  repeat(run, options.runs);
  const std::vector<Tensor> &outputs = run.results();
  if (!options.outputs.empty())
    writeTensors(options.outputs, outputs, "output");
  if (!options.compare.empty())
    return compareAll(
        outputs,
        arrange(readTensors({options.compare}, "output", model.outputs()),
                model.outputs(), "output"),
        options);
  if (!options.quiet)
    for (const Tensor &output : outputs)
      printSummary(output);
  return true;
}

/// Runs all sets, if the inputs are a folder of sets, or the only one.
bool runSets(const LoadedModel &model, const Options &options) {
  Threads threads(options.threads);
  std::vector<std::string> sets;
  if (options.inputs.size() == 1)
    sets = dataSets(options.inputs.front());
  if (sets.empty())
    return runSet(model, options, threads.executor());
  bool ok = true;
  for (const std::string &set : sets) {
    std::filesystem::path name = std::filesystem::path(set).filename();
    Options one = options;
    one.inputs = {set};
    if (!options.outputs.empty())
      one.outputs = std::filesystem::path(options.outputs) / name;
    if (!options.compare.empty())
      one.compare = std::filesystem::path(options.compare) / name;
    if (!options.quiet)
      std::printf("%s:\n", name.c_str());
    ok &= runSet(model, one, threads.executor());
  }
  return ok;
}

int compileAndRun(Options options) {
  TemporaryFolder folder;
  std::istringstream words(options.compileArguments);
  std::vector<std::string> arguments{std::istream_iterator<std::string>(words),
                                     {}};
  std::string output = folder.path / "model";
  if (int status = runCompiler(options.model, output, arguments))
    return status;
  LoadedModel model(output + ".so", options.load);
  return runSets(model, options) ? Success : OverTolerance;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Runs a model that fulgurc compiled, on tensors from files.",
               "fulgur-run");
  Options options;
  addOptions(app, options);
  app.footer(Examples);
  app.set_version_flag("--version", "fulgur-run " FULGUR_VERSION);
  app.get_formatter()->column_width(36);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? Success : Usage;
  }
  try {
    if (options.compile)
      return compileAndRun(options);
    LoadedModel model(options.model, options.load);
    return runSets(model, options) ? Success : OverTolerance;
  } catch (const std::exception &error) {
    std::fflush(stdout);
    std::fprintf(stderr, "fulgur-run: error: %s\n", error.what());
    return Failure;
  }
}
