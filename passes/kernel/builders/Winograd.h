// What the loops of Winograd's transformation and the choice of it share.
#pragma once
#include "passes/kernel/builders/WinogradWeights.h"

namespace fulgur::winograd {
/// The size of the weights transformed for tiles of `outputs` that are
/// multiplied by pairs.
inline int64_t transformedBytes(const Convolution &c, int64_t outputs) {
  int64_t size = winogradForm(c, outputs).size();
  return 2 * size * size * c.frameTaps() * c.size(*c.channel) *
         c.size(*c.filter);
}

/// The loops of a kernel that the builder was chosen for.
llvm::LogicalResult build(KernelSite &site);
} // namespace fulgur::winograd
