// fulgur-bench --kernels: where a model's time goes.
#ifndef FULGUR_TOOLS_PROFILEKERNELS_H
#define FULGUR_TOOLS_PROFILEKERNELS_H

#include "KernelTrials.h"

/// Measures every kernel by itself and prints them, the most expensive first.
/// Returns what fulgurc exits with when it cannot compile the model, else 0.
/// Throws std::runtime_error.
int profileKernels(const KernelOptions &options);

#endif // FULGUR_TOOLS_PROFILEKERNELS_H
