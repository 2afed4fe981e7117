// One module on made-up inputs: sizes that its requirements allow, numbers that
// follow from the inputs' names, and runs of it in any stage before LLVM.
#pragma once
#include "interpreter/Host.h"

namespace fulgur::interpreter {

/// What came out of a run.
struct Outcome {
  Ending ending = Ending::unknown;
  std::string reason; ///< why it ended early
  std::vector<llvm::IntrusiveRefCntPtr<Array>> outputs;
};

/// Where two outcomes are apart.
struct Difference {
  std::string text; ///< a sentence
};

class Trial {
public:
  /// Makes inputs for a module whose @main is on tensors, and runs it. Says
  /// why when it cannot.
  static std::unique_ptr<Trial> make(mlir::ModuleOp module, std::string &why);

  /// A trial with the inputs of the caller, whose dims are the symbols' sizes.
  Trial(mlir::ModuleOp module,
        std::vector<llvm::IntrusiveRefCntPtr<Array>> inputs);

  /// Runs @main: on tensors, or as the run of a model on buffers.
  Outcome run(mlir::ModuleOp module, double noise = 0, unsigned seed = 0);

  /// What the module of make() computed.
  const Outcome &reference() const { return first; }

  /// Compares with an earlier outcome. Integers are equal, floating-point
  /// numbers are apart by no more than a share of the output's largest one,
  /// unless random errors in the last places have moved the results of make()
  /// by more.
  std::optional<Difference> compare(const Outcome &before,
                                    const Outcome &after) const;

  /// "batch = 3, sequence = 5".
  std::string sizes() const;

private:
  Trial() = default;
  /// Finds sizes that the requirements allow, other ones from each `attempt`
  /// on.
  bool chooseSizes(mlir::ModuleOp module, unsigned &attempt, std::string &why);
  /// Makes inputs of these sizes that the module takes, and runs it.
  bool chooseInputs(mlir::ModuleOp module, std::string &why);
  bool makeInputs(mlir::ModuleOp module, unsigned attempt);
  void measureSpread(mlir::ModuleOp module);

  std::map<std::string, int64_t> symbols;
  std::vector<llvm::SmallVector<int64_t>> shapes; ///< of the inputs
  std::vector<llvm::IntrusiveRefCntPtr<Array>> inputs;
  Constants constants;
  Outcome first;
  std::vector<double> spreads; ///< by output: how far rounding moves a number
  double share = 1e-4;         ///< of an output's largest number
};

/// The elements of the inputs of a module, on tensors or on buffers.
std::vector<Format> inputFormats(mlir::ModuleOp module);

/// The functions of a module on buffers: @main and @plan, whatever they are
/// called by now. Empty when there are none.
struct EntryNames {
  std::string main, plan;
  bool isOnBuffers = false;
};
EntryNames entriesOf(mlir::ModuleOp module);

} // namespace fulgur::interpreter
