// Errors that know the exit code they end in.
#pragma once
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include <string>
#include <system_error>

namespace fulgur {

/// What the tools return to their caller.
enum class ExitCode {
  ok = 0,
  model = 1, ///< the model is invalid, or its files cannot be read or written
  usage = 2, ///< the command line is wrong
  unsupported = 3,   ///< the model is valid, but we cannot compile it
  resourceLimit = 5, ///< out of memory, disk, or another limit
  internal = 70,     ///< our fault
};

/// A sentence for the user and an exit code. An empty sentence: diagnostics
/// have already said it.
class Failure : public llvm::ErrorInfo<Failure> {
public:
  static char ID;
  Failure(ExitCode code, std::string message)
      : code(code), message(std::move(message)) {}

  ExitCode code;
  std::string message;

  void log(llvm::raw_ostream &os) const override { os << message; }
  std::error_code convertToErrorCode() const override {
    return std::make_error_code(std::errc::invalid_argument);
  }
};

inline llvm::Error fail(ExitCode code, const llvm::Twine &message) {
  return llvm::make_error<Failure>(code, message.str());
}

/// "cannot <what> '<path>': <reason>"; a full disk is a resource limit.
llvm::Error failFile(llvm::StringRef what, llvm::StringRef path,
                     std::error_code reason);

} // namespace fulgur
