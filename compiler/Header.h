// The C header of a compiled model.
#pragma once
#include "compiler/ModelInfo.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

namespace fulgur {

/// Whether `name` may name anything in C and C++: an identifier, and no word of
/// theirs.
bool isIdentifier(llvm::StringRef name);

/// Turns `name` into an identifier: other characters become '_', and what would
/// start with a digit or be a word of the language gets `fallback` in front.
std::string toIdentifier(llvm::StringRef name, llvm::StringRef fallback);

/// Like toIdentifier(), and different from all names in `taken`, to which it is
/// added.
std::string uniqueIdentifier(llvm::StringRef name, llvm::StringRef fallback,
                             llvm::StringSet<> &taken);

struct HeaderOptions {
  std::string prefix, source, producer, target;
  uint64_t stackBytes = 0;
  bool embedWeights = true;
  std::string weightsFile = ""; ///< its name, when the weights are a file
};

void writeHeader(const ModelInfo &info, const HeaderOptions &options,
                 llvm::raw_ostream &os);

} // namespace fulgur
