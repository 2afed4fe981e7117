// Machine code of earlier compilations, found by the content that it was made
// from.
#pragma once
#include "compiler/Elf.h"
#include <map>
#include <mutex>
#include <optional>

namespace fulgur {

/// What one unit of code becomes.
struct UnitCode {
  ObjectBytes object;
  std::map<std::string, uint64_t> frames; ///< bytes of each function's frame
};

/// A folder with a file for each unit. Many compilers may use it at a time:
/// files appear whole under their final names. One that is damaged is as good
/// as none. All functions may be called from several threads.
class KernelCache {
public:
  /// Makes the folder when it is missing.
  explicit KernelCache(llvm::StringRef folder);

  /// The code kept under `key`, a hash of all that it depends on.
  std::optional<UnitCode> find(llvm::StringRef key);
  void keep(llvm::StringRef key, const UnitCode &code);

  /// Removes what was not used for long when the folder grows large.
  void prune();

  /// What went wrong first: the folder is full or may not be written. The
  /// compilation needs none of it.
  std::string problem() const { return firstProblem; }
  unsigned found() const { return numFound; }
  unsigned asked() const { return numAsked; }

private:
  std::string pathOf(llvm::StringRef key) const;
  void complain(const llvm::Twine &what);

  std::string folder, firstProblem;
  unsigned numFound = 0, numAsked = 0;
  std::mutex mutex; ///< of the three above
};

/// Tells this compiler from others that would make other code of the same
/// input.
std::string compilerIdentity();

/// $XDG_CACHE_HOME/fulgur/kernels, or ~/.cache/fulgur/kernels.
std::string defaultCacheFolder();

} // namespace fulgur
