// Errors that know the exit code they end in.
#include "compiler/Failure.h"

using namespace fulgur;

char Failure::ID;

llvm::Error fulgur::failFile(llvm::StringRef what, llvm::StringRef path,
                             std::error_code reason) {
  bool full = reason == std::errc::no_space_on_device ||
              reason == std::errc::file_too_large;
  return fail(full ? ExitCode::resourceLimit : ExitCode::model,
              "cannot " + what + " '" + path + "': " + reason.message());
}
