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
#include <cmath>

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

namespace {
/// What is float32 in the exact model and bytes with scales in the narrow one:
/// states, whose scales are behind all other inputs and outputs.
struct ByteStates {
  struct State {
    size_t codes = 0, codesOutput = 0, scales = 0, scalesOutput = 0;
  };
  std::vector<State> states;

  ByteStates(const LoadedModel &exact, const LoadedModel &narrow) {
    auto outputOf = [&](size_t input) {
      const fulgur_model &model = narrow.descriptor();
      for (const fulgur_state &state :
           std::span(model.states, size_t(model.n_states)))
        if (size_t(state.input) == input)
          return size_t(state.output);
      throw std::runtime_error("an input of bytes is no state");
    };
    size_t next = exact.inputs().size();
    for (size_t i = 0; i < exact.inputs().size(); ++i)
      if (narrow.inputs()[i].dtype != exact.inputs()[i].dtype) {
        states.push_back({i, outputOf(i), next, outputOf(next)});
        ++next;
      }
  }

  /// Inputs of the exact model as the narrow one has them.
  std::vector<Tensor> inputs(const std::vector<Tensor> &exact) const {
    std::vector<Tensor> result;
    for (const Tensor &tensor : exact)
      result.push_back(Tensor::copy(tensor.name, tensor.view()));
    for (const State &state : states) {
      const Tensor &from = exact[state.codes];
      Tensor codes = Tensor::zeros(from.name, FULGUR_INT8, from.dims),
             scales = Tensor::zeros(from.name + ".scale", FULGUR_FLOAT32,
                                    {from.dims.begin(), from.dims.end() - 1});
      for (int64_t row = 0; row < scales.elements(); ++row) {
        int64_t length = from.dims.back(), start = row * length;
        double greatest = 0;
        for (int64_t i = start; i < start + length; ++i)
          greatest = std::max(greatest, std::abs(from.number(i)));
        scales.setNumber(row, greatest / 127);
        for (int64_t i = start; greatest > 0 && i < start + length; ++i)
          codes.setNumber(i, std::rint(from.number(i) * 127 / greatest));
      }
      result[state.codes] = std::move(codes);
      result.push_back(std::move(scales));
    }
    return result;
  }

  /// Outputs of the narrow model as numbers.
  std::vector<Tensor> outputs(const std::vector<Tensor> &narrow) const {
    std::vector<Tensor> result;
    for (const Tensor &tensor : narrow)
      result.push_back(Tensor::copy(tensor.name, tensor.view()));
    for (const State &state : states) {
      const Tensor &codes = narrow[state.codesOutput],
                   &scales = narrow[state.scalesOutput];
      Tensor &numbers = result[state.codesOutput];
      numbers = Tensor::zeros(codes.name, FULGUR_FLOAT32, codes.dims);
      for (int64_t i = 0; i < codes.elements(); ++i)
        numbers.setNumber(i, codes.number(i) *
                                 scales.number(i / codes.dims.back()));
    }
    result.resize(narrow.size() - states.size());
    return result;
  }
};
} // namespace

/// Throws std::runtime_error.
static Accuracy compare(const LoadedModel &exact, const LoadedModel &narrow,
                        const std::string &place) {
  Accuracy accuracy;
  accuracy.data = place.empty() ? "made-up inputs" : place;
  ByteStates bytes(exact, narrow);
  for (const std::vector<Tensor> &inputs : inputsAt(place, exact)) {
    std::vector<Tensor> narrowInputs = bytes.inputs(inputs);
    ModelRun reference(exact, inputs, nullptr),
        run(narrow, narrowInputs, nullptr);
    reference.run();
    run.run();
    const std::vector<Tensor> &expected = reference.results();
    std::vector<Tensor> results = bytes.outputs(run.results());
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
