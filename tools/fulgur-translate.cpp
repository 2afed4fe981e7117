// mlir-translate with ONNX as one more language: prints the module the compiler
// starts from.
#include "frontends/onnx/Import.h"
#include "mlir/InitAllTranslations.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

static void registerImportOnnx() {
  static TranslateToMLIRRegistration registration(
      "import-onnx",
      "import an ONNX model, which must be a file because its weights are "
      "mapped",
      [](const std::shared_ptr<llvm::SourceMgr> &source,
         MLIRContext *context) -> OwningOpRef<Operation *> {
        OwningOpRef<ModuleOp> module;
        StringRef path = source->getMemoryBuffer(source->getMainFileID())
                             ->getBufferIdentifier();
        if (fulgur::onnx::import(path, {}, *context, module) !=
            fulgur::onnx::ImportStatus::ok)
          return {};
        return OwningOpRef<Operation *>(module.release());
      });
}

int main(int argc, char **argv) {
  registerAllTranslations();
  registerImportOnnx();
  return failed(mlirTranslateMain(argc, argv, "fulgur-translate"));
}
