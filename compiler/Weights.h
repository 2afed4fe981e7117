// The weights segment: all constants of the model, in the order and layout the
// kernels read them.
#pragma once
#include "compiler/ModelInfo.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace fulgur {

/// Streams the segment into `os` and returns its hash. Nothing but small
/// constants is ever copied.
llvm::Expected<uint64_t> writeSegment(const ModelInfo &info,
                                      llvm::raw_ostream &os);

/// Writes the segment as a file that fulgur_weights_map() maps, and returns the
/// segment's hash.
llvm::Expected<uint64_t> writeWeightsFile(const ModelInfo &info,
                                          llvm::StringRef path);

} // namespace fulgur
