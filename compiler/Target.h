// The machine that the code is for.
#pragma once
#include "passes/Target.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace fulgur {
struct Options;

struct CpuTarget {
  std::string name; ///< among several: what the user called it, "v4-vnni"
  llvm::Triple triple;
  std::string cpu, features; ///< as LLVM wants them
  std::string shownCpu; ///< cpu and the user's features, for people: "x86-64-v3
                        ///< +avx512f"
  uint64_t cpuFeatures = 0; ///< FULGUR_CPU_* that the code may use
  fulgur::Target unit;      ///< what the passes need to know
  const llvm::Target *backend = nullptr;

  /// The attributes of an LLVM function that make it code for this target.
  std::vector<std::pair<std::string, std::string>> attributes() const;

  /// A machine that generates code for it at -O`level`. One thread uses one
  /// machine.
  std::unique_ptr<llvm::TargetMachine> machine(unsigned level) const;
};

/// Makes LLVM's targets known. Call it once, before resolveTarget().
void initializeTargets();

/// Finds what --target, --mcpu and --mattr mean. A name that LLVM does not know
/// is a usage error.
llvm::Expected<CpuTarget> resolveTarget(const Options &options);

/// Finds what --cpu-variants means, the most demanding target first; the one
/// target of resolveTarget() when there are no variants.
llvm::Expected<std::vector<CpuTarget>> resolveTargets(const Options &options);

/// What every CPU of an architecture has: what may run before CPUs are checked.
llvm::StringRef baselineCpu(const llvm::Triple &triple);

} // namespace fulgur
