// The part of the AMX builder that the builder of products sees.
#pragma once
#include "passes/kernel/builders/Gemm.h"

namespace fulgur {
/// A product of weights of bfloat16 or bytes by AMX's tiles, for targets that
/// have them, where the tiles fit; null otherwise. `plain` says how the weights
/// are packed.
ScheduleAttr amxSchedule(KernelOp kernel, const Product &product,
                         ScheduleAttr plain);
} // namespace fulgur
