// Which files a compilation makes, and under which names.
#pragma once
#include "compiler/Options.h"
#include "llvm/Support/Error.h"
#include <map>

namespace fulgur {

struct Plan {
  std::string stem;   ///< of the files: "out/m"
  std::string prefix; ///< of the symbols: "m"
  std::map<Artifact, std::string>
      files; ///< final paths; "-" is the standard output
};

/// ".o", ".h" ...
llvm::StringRef suffixOf(Artifact artifact);

/// Finds out from -o, --emit, --compile-to, --weights and --prefix what to
/// make. Contradictions are usage errors.
llvm::Expected<Plan> planArtifacts(const Options &options);

} // namespace fulgur
