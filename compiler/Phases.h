// How long each part of a compilation took, and how much memory the compiler
// had needed by then.
#pragma once
#include "compiler/Diagnostics.h"
#include "llvm/Support/TimeProfiler.h"
#include <chrono>
#include <optional>

namespace fulgur {

/// One phase follows another: begin() ends the one before. With -v each is
/// printed when it ends; on a terminal the current one is shown; all are in the
/// time trace.
class Phases {
public:
  Phases(Diagnostics &diagnostics, bool verbose)
      : diagnostics(diagnostics), verbose(verbose) {}
  ~Phases() { end(); }

  void begin(llvm::StringRef name);
  void end();
  /// The phases that have ended, and the seconds that each took.
  const std::vector<std::pair<std::string, double>> &past() const {
    return ended;
  }
  /// Says a line, with -v.
  void tell(const llvm::Twine &line);

private:
  Diagnostics &diagnostics;
  bool verbose;
  std::string current;
  std::vector<std::pair<std::string, double>> ended;
  std::chrono::steady_clock::time_point start;
  llvm::TimeTraceProfilerEntry *trace = nullptr;
};

} // namespace fulgur
