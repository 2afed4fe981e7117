// mlir-opt with fulgur's dialect and passes: the tool that pass tests run.
#include "compiler/Pipeline.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  fulgur::registerDialects(registry);
  mlir::registerAllPasses();
  fulgur::registerFulgurPasses();
  fulgur::registerPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "fulgur-opt\n", registry));
}
