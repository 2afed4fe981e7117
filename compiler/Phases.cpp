// How long each part of a compilation took, and how much memory the compiler
// had needed by then.
#include "compiler/Phases.h"
#include "llvm/Support/FormatVariadic.h"
#include <sys/resource.h>

using namespace fulgur;

void Phases::begin(llvm::StringRef name) {
  end();
  current = name.str();
  start = std::chrono::steady_clock::now();
  diagnostics.progress("fulgurc: " + current + " ...");
  if (llvm::timeTraceProfilerEnabled())
    trace = llvm::timeTraceProfilerBegin(current, llvm::StringRef());
}

void Phases::end() {
  if (current.empty())
    return;
  if (trace)
    llvm::timeTraceProfilerEnd(trace);
  trace = nullptr;
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  ended.push_back({current, seconds.count()});
  if (verbose) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    llvm::errs() << llvm::formatv(
        "fulgurc: {0,-10} {1,8:F3} s  {2,6} MiB peak\n", current,
        seconds.count(), usage.ru_maxrss / 1024);
  }
  diagnostics.progress("");
  current.clear();
}

void Phases::tell(const llvm::Twine &line) {
  if (verbose)
    llvm::errs() << "fulgurc: " << line << "\n";
}
