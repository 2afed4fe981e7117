// The part of the Strassen builder that the builder of products sees.
#pragma once
#include "passes/kernel/builders/Gemm.h"

namespace fulgur {
namespace strassen {
constexpr int64_t kSteps = 384;    // of each half: four panels of them and what
                                   // comes next stay in the second-level cache
constexpr int64_t kLeastRows = 64; // that are worth it
/// Of two rows, or columns, that are added: errors stay below 1e-5 of the
/// smaller row, and 3e-5 of the smaller column.
constexpr double kMostRatio = 16;

/// Blocks of steps belong to the first half and to the second one in turns: how
/// many there are in one, if a half has `steps`.
inline int64_t stepsOfBlock(int64_t steps, int64_t lanes) {
  return llvm::alignTo(llvm::divideCeil(steps, llvm::divideCeil(steps, kSteps)),
                       lanes);
}
} // namespace strassen

/// Strassen's algorithm with the tile of `plain`, where it takes less time than
/// that; null otherwise. Any CPU could: `target` says whether it gains.
ScheduleAttr strassenSchedule(KernelOp kernel, const Product &product,
                              const Target &target, ScheduleAttr plain);
} // namespace fulgur
