// Any bytes as a model file, through everything that happens before the first
// pass: they end in a module or in an error, never in a crash.
#include "frontends/onnx/Import.h"
#include "mlir/IR/MLIRContext.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace {

/// A folder with something for external data to point at; it goes with the
/// process.
struct Folder {
  std::string path =
      std::filesystem::temp_directory_path() / "fulgur-fuzz-import-XXXXXX";
  Folder() {
    if (!mkdtemp(path.data()))
      std::abort();
    std::ofstream(path + "/data.bin") << std::string(4096, '\0');
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  std::string file = folder.path + "/model.onnx";
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char *>(data), std::streamsize(size));
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  bool explained = false;
  context.getDiagEngine().registerHandler(
      [&](mlir::Diagnostic &) { explained = true; });
  fulgur::onnx::ImportOptions options;
  options.maxModelBytes = 16 << 20;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  auto status = fulgur::onnx::import(file, options, context, module);
  bool ok = status == fulgur::onnx::ImportStatus::ok;
  if (ok != bool(module) || (!ok && !explained))
    std::abort(); // no module and no reason, or both
  return 0;
}
