// fulgur-bench --tune: measures the schedules of a model's kernels.
#ifndef FULGUR_TOOLS_TUNEKERNELS_H
#define FULGUR_TOOLS_TUNEKERNELS_H

#include "KernelTrials.h"

/// Measures, says what came out, and writes it into `database`, with what that
/// has of other kernels. Returns what fulgurc exits with when it cannot compile
/// the model, else 0. Throws std::runtime_error.
int tuneKernels(const KernelOptions &options, const std::string &database);

#endif // FULGUR_TOOLS_TUNEKERNELS_H
