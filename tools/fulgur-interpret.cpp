// fulgur-interpret: runs IR of any stage before LLVM on tensors from files, by
// interpretation. `fulgurc m.onnx --compile-to=kernel -o m.mlir` writes such
// IR.
#include "TensorFile.h"
#include "compiler/Failure.h"
#include "compiler/Pipeline.h"
#include "interpreter/Trial.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/CommandLine.h"
#include <cstring>

using namespace fulgur;
using interpreter::Array;
using interpreter::Ending;
using interpreter::Format;
using interpreter::Trial;

static int fail(const llvm::Twine &message, ExitCode code) {
  llvm::errs() << "fulgur-interpret: error: " << message << "\n";
  return static_cast<int>(code);
}

/// Elements of the same bytes; whether integers have a sign the IR does not
/// know.
static fulgur_dtype typeOf(Format format) {
  switch (format.kind) {
  case Format::f16:
    return FULGUR_FLOAT16;
  case Format::bf16:
    return FULGUR_BFLOAT16;
  case Format::f32:
    return FULGUR_FLOAT32;
  case Format::f64:
    return FULGUR_FLOAT64;
  default:
    return format.bits == 1    ? FULGUR_BOOL
           : format.bits <= 8  ? FULGUR_INT8
           : format.bits <= 16 ? FULGUR_INT16
           : format.bits <= 32 ? FULGUR_INT32
                               : FULGUR_INT64;
  }
}

static int run(const std::string &path, const std::vector<std::string> &places,
               const std::string &outputs) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::MLIRContext context(registry);
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(path, &context);
  if (!module)
    return static_cast<int>(ExitCode::model);
  std::vector<llvm::IntrusiveRefCntPtr<Array>> inputs;
  std::vector<Format> formats = interpreter::inputFormats(*module);
  std::vector<Tensor> given = readTensors(places, "input");
  if (given.size() != formats.size())
    return fail("there are " + llvm::Twine(given.size()) +
                    " inputs instead of " + llvm::Twine(formats.size()),
                ExitCode::model);
  for (auto [tensor, format] : llvm::zip(given, formats)) {
    if (tensor.isContainer() || tensor.dtype == FULGUR_STRING)
      return fail("input '" + tensor.name + "' is no tensor of numbers",
                  ExitCode::unsupported);
    auto array = interpreter::makeArray(format, tensor.dims);
    if (size_t(array->buffer->bytes) != tensor.data.size())
      return fail("input '" + tensor.name + "' is of another type",
                  ExitCode::model);
    std::memcpy(array->buffer->data, tensor.data.data(), tensor.data.size());
    inputs.push_back(array);
  }
  interpreter::Outcome outcome = Trial(*module, std::move(inputs)).run(*module);
  if (outcome.ending != Ending::finished)
    return fail(outcome.reason, outcome.ending == Ending::unknown
                                    ? ExitCode::unsupported
                                    : ExitCode::model);
  std::vector<Tensor> results;
  for (auto [i, output] : llvm::enumerate(outcome.outputs)) {
    Tensor result =
        Tensor::zeros("output_" + std::to_string(i), typeOf(output->format),
                      {output->sizes.begin(), output->sizes.end()});
    std::memcpy(result.data.data(), output->buffer->data, result.data.size());
    results.push_back(std::move(result));
  }
  writeTensors(outputs, results, "output");
  return 0;
}

int main(int argc, char **argv) {
  llvm::cl::opt<std::string> module(llvm::cl::Positional, llvm::cl::Required,
                                    llvm::cl::desc("<module.mlir>"));
  llvm::cl::list<std::string> inputs(
      "inputs",
      llvm::cl::desc("A folder with input_0.pb, input_1.pb, ..., or a file"));
  llvm::cl::opt<std::string> outputs(
      "outputs", llvm::cl::Required,
      llvm::cl::desc("Folder, or .npz file, for the outputs"));
  llvm::cl::ParseCommandLineOptions(
      argc, argv, "fulgur-interpret runs IR of a stage before LLVM\n");
  try {
    return run(module, inputs, outputs);
  } catch (const std::exception &error) {
    return fail(error.what(), ExitCode::model);
  }
}
