// ONNX in, one MLIR module out: linalg on tensors plus the fulgur dialect (see
// dialects/Fulgur.td for what the module holds).
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <limits>
#include <string>
#include <vector>

namespace fulgur::onnx {

/// What the user says about the model's shapes.
struct ImportOptions {
  struct Range {
    int64_t min = 0, max = std::numeric_limits<int64_t>::max();
  };
  llvm::StringMap<Range>
      dims; ///< --dim NAME=N (min == max) and --dim NAME=LO..HI
  llvm::StringMap<std::vector<std::string>>
      shapes; ///< --shape INPUT:1x3x?xN; each entry a number, "?" or a symbol
  std::vector<std::pair<std::string, std::string>>
      states; ///< --state INPUT=OUTPUT: one buffer; either may have one `*`
  uint64_t maxModelBytes = uint64_t(64) << 30; ///< files above are refused
};

/// Why an import failed; what the exit code of the tools says.
enum class ImportStatus { ok, invalidModel, unsupported, resourceLimit };

/// Imports the model at `path` ("-" is not accepted: external data needs a
/// folder). Errors are emitted through the context's diagnostic handler at the
/// location of the node that caused them. Weights are resources over the mapped
/// file; the mapping lives as long as the context.
ImportStatus import(llvm::StringRef path, const ImportOptions &options,
                    mlir::MLIRContext &context,
                    mlir::OwningOpRef<mlir::ModuleOp> &module);

} // namespace fulgur::onnx
