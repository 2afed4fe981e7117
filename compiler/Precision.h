// What a model of float32 is computed with.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>

namespace fulgur {

/// The numbers that weights, and what they are multiplied with, are stored as.
/// Sums, and everything between products, are float32 in any case.
struct Precision {
  enum Kind {
    f32,
    f16,         ///< weights only
    bf16,        ///< and what they are multiplied with
    int8Dynamic, ///< both, with scales that follow from the numbers
    int4Weights
  };
  Kind kind = f32;
  int64_t group = 32;           ///< of weights of 4 bits, share a scale
  bool byteActivations = false; ///< what those are multiplied with, too
  bool byteStates = false; ///< rows that are appended to states, such as keys
                           ///< and values, with a scale for each

  /// "f32", "int8-dynamic", "int4-weights:group=64,activations=int8". Nothing,
  /// and why, when it is none.
  static std::optional<Precision> parse(llvm::StringRef text,
                                        std::string &complaint);
};

} // namespace fulgur
