#include "Accuracy.h"
#include "CompareTensors.h"
#include "LoadedModel.h"
#include "RandomInputs.h"
#include "TensorFile.h"
#include "compiler/Compile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace fulgur;
using llvm::Expected;

/// The sets of inputs at the place.
static std::vector<std::vector<Tensor>> inputsAt(const std::string &place,
                                                 const LoadedModel &model) {
  std::vector<std::vector<Tensor>> sets;
  if (place.empty()) {
    sets.push_back(randomInputs(model.descriptor(), {}));
    return sets;
  }
  std::vector<std::string> folders = dataSets(place);
  if (folders.empty())
    folders.push_back(place);
  for (const std::string &folder : folders)
    sets.push_back(arrange(readTensors({folder}, "input", model.inputs()),
                           model.inputs(), "input"));
  return sets;
}

/// Throws std::runtime_error.
static Accuracy compare(const LoadedModel &exact, const LoadedModel &narrow,
                        const std::string &place) {
  Accuracy accuracy;
  accuracy.data = place.empty() ? "made-up inputs" : place;
  for (const std::vector<Tensor> &inputs : inputsAt(place, exact)) {
    ModelRun reference(exact, inputs, nullptr), run(narrow, inputs, nullptr);
    reference.run();
    run.run();
    const std::vector<Tensor> &expected = reference.results(),
                              &results = run.results();
    accuracy.outputs.resize(results.size());
    for (auto [result, right, error] :
         llvm::zip(results, expected, accuracy.outputs)) {
      Difference difference = compareTensors(result, right, {});
      error.output = result.name;
      error.type = result.type();
      error.maxAbsolute = std::max(error.maxAbsolute, difference.maxAbsolute);
      error.maxRelative = std::max(error.maxRelative, difference.maxRelative);
      error.rms = std::max(error.rms, difference.rms);
    }
  }
  return accuracy;
}

MeasureAccuracy accuracyOf(Options options, std::string place) {
  return [options, place](const std::string &library,
                          const std::string &weights) -> Expected<Accuracy> {
    llvm::SmallString<128> folder;
    if (std::error_code reason =
            llvm::sys::fs::createUniqueDirectory("fulgur-accuracy", folder))
      return failFile("create folder", folder, reason);
    llvm::scope_exit remove([&] { llvm::sys::fs::remove_directories(folder); });
    Options exact = options;
    llvm::sys::path::append(folder, "exact.so");
    exact.output = std::string(folder);
    llvm::sys::path::remove_filename(folder);
    exact.prefix = "exact";
    exact.artifacts = {Artifact::shared};
    exact.weights = WeightsMode::embed;
    exact.precision = {};
    exact.measureAccuracy = nullptr;
    exact.remarks.reset();
    exact.saveTemps.clear();
    exact.dependencies = false;
    exact.dependencyFile.clear();
    exact.timeTrace.clear();
    exact.quiet = true;
    if (ExitCode code = compile(exact); code != ExitCode::ok)
      return fail(code, "the model cannot be compiled for float32, which its "
                        "accuracy is measured against");
    try {
      LoadedModel::Options how;
      how.weights = weights;
      LoadedModel narrow(library, how), wide(exact.output, {});
      return compare(wide, narrow, place);
    } catch (const std::exception &error) {
      return fail(ExitCode::model,
                  std::string("cannot measure the accuracy: ") + error.what());
    }
  };
}
