// What a compilation tells about its result: m.report.json and m.report.html.
#pragma once
#include "compiler/Accuracy.h"
#include "compiler/RemarkLog.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"
#include <optional>

namespace fulgur {

struct Report {
  struct Kernel {
    std::string function; ///< in the object; empty when it is not known
    std::string kind, schedule;
    std::vector<std::string> nodes; ///< "name (Op)" of all calls
    int64_t calls = 0;
    std::optional<int64_t> operations; ///< floating point or integer, of a call
    std::optional<int64_t> bytes;      ///< of all operands of a call
    uint64_t codeBytes = 0;
  };
  struct Buffer {
    std::string node;
    int64_t offset = 0, bytes = 0, first = 0, last = 0;
  };
  /// The arena of a model, or of a part of a program. Sizes are those for
  /// typical symbols where they depend on some.
  struct Arena {
    int64_t bytes = 0;
    int64_t leastBytes = 0; ///< the most that is in use at a time
    std::vector<Buffer> buffers;
  };
  struct Code {
    std::string cpu;
    uint64_t bytes = 0;
  };
  struct Weight {
    std::string name, type;
    uint64_t bytes = 0;
  };
  struct Phase {
    std::string name;
    double seconds = 0;
  };

  std::string model, source, producer, target;
  std::vector<Kernel> kernels;
  std::vector<RemarkEntry> remarks;
  std::vector<Arena> arenas;
  bool arenaIsConstant = true;
  uint64_t stackBytes = 0, weightsBytes = 0;
  std::vector<Weight> weights; ///< the largest first
  std::vector<Code> code;      ///< for each kind of CPUs
  std::vector<Phase> phases;
  std::optional<Accuracy> accuracy; ///< where it was measured

  /// Reads the kernels that `module` has before they become functions.
  void addKernels(mlir::ModuleOp module);
  /// Finds which functions they have become; the object's names of these begin
  /// with `prefix`. Kernels that share a function become one.
  void addFunctions(mlir::ModuleOp module, llvm::StringRef prefix);
  void addMeasurements(const std::vector<Measurement> &measurements);
  /// The code of kernels, by the names of functions.
  void
  addCode(const std::vector<std::pair<std::string, uint64_t>> &functionBytes);

  llvm::json::Value json() const;
  void writeHtml(llvm::raw_ostream &os) const;
};

} // namespace fulgur
