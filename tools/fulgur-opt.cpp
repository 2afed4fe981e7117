// mlir-opt with fulgur's dialect and passes: the tool that pass tests run.
#include "compiler/Failure.h"
#include "compiler/Pipeline.h"
#include "interpreter/Verify.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Passes.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

using fulgur::interpreter::Verification;

#ifdef FULGUR_TEST_PASSES
namespace fulgur::test {
void registerWrongPasses(); // test/passes/Wrong.cpp
} // namespace fulgur::test
#endif

/// mlir-opt's configuration, with the checks of numerics in every pipeline.
static mlir::MlirOptMainConfig
checked(std::vector<std::unique_ptr<Verification>> &checks) {
  auto config = mlir::MlirOptMainConfig::createFromCLOptions();
  mlir::MlirOptMainConfig pipeline = config;
  return config.setPassPipelineSetupFn(
      [&checks, pipeline](mlir::PassManager &pm) {
        pm.getContext()->disableMultithreading(); // a pass is checked at a time
        checks.push_back(std::make_unique<Verification>(
            "fulgur-opt-", /*verbose=*/false, [](const llvm::Twine &message) {
              llvm::errs() << "fulgur-opt: note: " << message << "\n";
            }));
        pm.addInstrumentation(checks.back()->instrumentation(/*isLast=*/true));
        return pipeline.setupPassPipeline(pm);
      });
}

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  fulgur::registerDialects(registry);
  mlir::registerAllPasses();
  fulgur::registerFulgurPasses();
  fulgur::registerPipelines();
#ifdef FULGUR_TEST_PASSES
  fulgur::test::registerWrongPasses();
#endif
  llvm::cl::opt<bool> verify(
      "verify-numerics-each",
      llvm::cl::desc("After every pass, interpret the IR and compare what it "
                     "computes with before"));
  auto [input, output] =
      mlir::registerAndParseCLIOptions(argc, argv, "fulgur-opt\n", registry);
  if (!verify)
    return mlir::asMainReturnCode(
        mlir::MlirOptMain(argc, argv, input, output, registry));

  std::vector<std::unique_ptr<Verification>> checks;
  std::string error;
  auto in = mlir::openInputFile(input, &error);
  auto out = in ? mlir::openOutputFile(output, &error) : nullptr;
  if (!out) {
    llvm::errs() << "fulgur-opt: error: " << error << "\n";
    return static_cast<int>(fulgur::ExitCode::model);
  }
  mlir::LogicalResult result =
      mlir::MlirOptMain(out->os(), std::move(in), registry, checked(checks));
  for (const auto &check : checks) {
    if (!check->fault().empty()) {
      llvm::errs() << "fulgur-opt: error: " << check->fault() << "\n";
      return static_cast<int>(fulgur::ExitCode::internal);
    }
    llvm::errs() << "fulgur-opt: note: " << check->summary() << "\n";
  }
  out->keep();
  return mlir::asMainReturnCode(result);
}
