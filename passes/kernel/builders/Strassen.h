// The part of the Strassen builder that the builder of products sees.
#pragma once
#include "passes/kernel/builders/Gemm.h"

namespace fulgur {
/// Strassen's algorithm with the tile of `plain`, where it takes less time than
/// that; null otherwise. Any CPU could: `target` says whether it gains.
ScheduleAttr strassenSchedule(KernelOp kernel, const Product &product,
                              const Target &target, ScheduleAttr plain);
} // namespace fulgur
