// The world outside of a module: sizes of symbols, the caller's buffers, and
// what stands for the runtime's structures.
#pragma once
#include "interpreter/Machine.h"
#include "runtime/fulgur.h"

namespace fulgur::interpreter {

class Host {
public:
  std::map<std::string, int64_t> symbols; ///< sizes
  std::vector<llvm::IntrusiveRefCntPtr<Array>> inputs;
  /// Where a module on buffers has written its outputs.
  std::vector<llvm::IntrusiveRefCntPtr<Array>> outputs;
  Constants *constants = nullptr;

  /// Makes the structures of a call: after this `call` can be handed to @main.
  void prepare(mlir::ModuleOp module, int64_t arenaBytes);
  int64_t address() const { return reinterpret_cast<int64_t>(&call); }

  /// Lets llvm.load and llvm.store touch these bytes.
  void allow(const void *from, size_t bytes);
  bool isAllowed(int64_t address, int64_t bytes) const;

  llvm::IntrusiveRefCntPtr<Buffer> arena, weights;
  std::vector<int64_t> symbolArray, outputDims;

private:
  fulgur_call call{};
  std::map<int64_t, int64_t> allowed;
};

} // namespace fulgur::interpreter
