// Output files appear whole, all together and under their final names, or not
// at all.
#pragma once
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace fulgur {

class Outputs {
public:
  Outputs() = default;
  Outputs(const Outputs &) = delete;
  Outputs &operator=(const Outputs &) = delete;
  /// Removes what was not committed, and the folders made for it.
  ~Outputs();

  /// Returns the temporary path at which to write what will be `path`. Makes
  /// missing folders.
  llvm::Expected<std::string> stage(llvm::StringRef path);

  /// The same for a file that is needed only until this object goes: commit()
  /// removes it.
  llvm::Expected<std::string> scratch(llvm::StringRef path);

  /// Gives all files their final names.
  llvm::Error commit();

private:
  struct File {
    std::string temporary, final; // no final name: scratch
  };
  std::vector<File> files;
  std::vector<std::string>
      folders; // that did not exist before, outermost first
};

/// Calls `print` with a new file `path`.
llvm::Error writeFile(llvm::StringRef path,
                      llvm::function_ref<void(llvm::raw_ostream &)> print);

} // namespace fulgur
