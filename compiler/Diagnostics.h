// What the user is told, as lines a person reads or JSON a program reads.
#pragma once
#include "compiler/Options.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

namespace fulgur {

/// Where something is in the model.
struct Place {
  std::string file; ///< empty: the message is not about the model
  std::string node; ///< the ONNX node's name, or its first output's
  std::string op;   ///< "Softmax"; empty when unknown
};

/// Finds the innermost named node around `location`, and its file.
Place placeOf(mlir::Location location);

/// Prints `model.onnx: node 'encoder.3/attn/softmax' (Softmax): error: ...`,
/// one line for each message.
class Diagnostics {
public:
  Diagnostics(const Options &options, llvm::raw_ostream &os = llvm::errs());

  ~Diagnostics() { progress(""); }

  /// Takes over the diagnostics of `context`, until detach().
  void attach(mlir::MLIRContext &context);
  void detach();

  void report(mlir::DiagnosticSeverity severity, const Place &place,
              llvm::StringRef message);
  void error(llvm::StringRef message) {
    report(mlir::DiagnosticSeverity::Error, {}, message);
  }
  /// Prints a remark that the user asked for, whatever -v says.
  void remark(const Place &place, llvm::StringRef message);
  void note(llvm::StringRef message) {
    report(mlir::DiagnosticSeverity::Note, {}, message);
  }

  unsigned errors() const { return errorCount; }
  /// The place of the last error.
  const Place &lastPlace() const { return last; }

  /// A line that the next one replaces; only on a terminal, and not with -q or
  /// -v.
  void progress(llvm::StringRef line);

private:
  void report(mlir::Diagnostic &diagnostic);
  void print(mlir::DiagnosticSeverity severity, const Place &place,
             llvm::StringRef message);

  llvm::raw_ostream &os;
  bool json, quiet, verbose, color, terminal, progressShown = false;
  unsigned errorCount = 0;
  Place last;
  mlir::MLIRContext *context = nullptr;
  mlir::DiagnosticEngine::HandlerID handler = 0;
};

} // namespace fulgur
