// After every pass, the module is run on made-up inputs and compared with
// what it computed before.
#pragma once
#include "interpreter/Trial.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Pass/PassInstrumentation.h"
#include <set>

namespace fulgur::interpreter {

/// What the checks of one compilation have found; outlives the pass managers.
class Verification {
public:
  /// IR before and after a wrong pass is written to files that begin with
  /// `stem`; `note` is told what cannot be checked, and when `verbose` also
  /// what has been.
  Verification(std::string stem, bool verbose,
               std::function<void(const llvm::Twine &)> note)
      : stem(std::move(stem)), verbose(verbose), note(std::move(note)) {}

  /// For each pass manager that runs on the module. With the last one go the
  /// modules that are kept here.
  std::unique_ptr<mlir::PassInstrumentation> instrumentation(bool isLast);

  /// What the first wrong pass has done; empty: nothing wrong was found.
  const std::string &fault() const { return found; }
  /// "41 passes checked, 3 not".
  std::string summary() const;

  /// Looks at the module that `op` is in, or at the parts in it: before the
  /// first pass, and after each.
  void start(mlir::Operation *op);
  void forget() { units.clear(); }
  void check(llvm::StringRef pass, mlir::Operation *op);

private:
  /// What a pass on one function has made of it. Such passes are checked
  /// together, and one by one only when that finds something.
  struct Change {
    std::string pass;
    mlir::OwningOpRef<mlir::func::FuncOp> function;
  };

  /// A module that is run by itself: a model, or a part of a program.
  struct Unit {
    std::unique_ptr<Trial> trial;           ///< null: it cannot be tried
    Outcome outcome;                        ///< of the last run
    mlir::OwningOpRef<mlir::ModuleOp> good; ///< the module of that run
    /// Of the IR of that run, and of the last seen.
    std::optional<mlir::OperationFingerPrint> print, seen;
    std::vector<std::string> unchecked; ///< passes since the last run
    std::vector<Change> changes;        ///< of functions, since the last run
  };

  void start(mlir::ModuleOp module);
  void check(llvm::StringRef pass, mlir::ModuleOp module);
  /// Keeps what a pass has made of a function.
  void keep(llvm::StringRef pass, mlir::func::FuncOp function);
  /// Finds the first wrong one among the passes on functions.
  bool replay(Unit &unit);
  void report(llvm::StringRef pass, mlir::ModuleOp module, Unit &unit,
              llvm::StringRef difference);

  std::string stem;
  bool verbose;
  std::function<void(const llvm::Twine &)> note;
  std::map<std::string, Unit> units; ///< by the name of the part
  std::set<std::string> said;
  unsigned checked = 0, unknown = 0;
  std::string found;
};

} // namespace fulgur::interpreter
