// mlir-opt with fulgur's dialect and passes: the tool that pass tests run.
#include "dialects/Fulgur.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "passes/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<fulgur::FulgurDialect>();
  fulgur::registerBufferization(registry);
  mlir::registerAllPasses();
  fulgur::registerFulgurPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "fulgur-opt\n", registry));
}
