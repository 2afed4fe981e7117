// The stations of the line. The IR can be written after each of them, and read
// again to go on from there.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <array>
#include <optional>

namespace fulgur {

/// Each stage is named after what the module is once it has passed.
enum class Stage {
  import, ///< linalg on tensors and fulgur ops, as the model says
  graph,  ///< the same, fused and simplified
  kernel, ///< kernels: outlined, scheduled, buffers instead of tensors
  memory, ///< one planned arena
  llvm,   ///< LLVM dialect: what compiler/ModelInfo.h reads
};

inline constexpr std::array stages{Stage::import, Stage::graph, Stage::kernel,
                                   Stage::memory, Stage::llvm};

inline llvm::StringRef stageName(Stage stage) {
  constexpr llvm::StringLiteral names[] = {"import", "graph", "kernel",
                                           "memory", "llvm"};
  return names[static_cast<size_t>(stage)];
}

inline std::optional<Stage> stageNamed(llvm::StringRef name) {
  for (Stage stage : stages)
    if (stageName(stage) == name)
      return stage;
  return std::nullopt;
}

} // namespace fulgur
