// What the CPU under this process can do.
#ifndef FULGUR_CPU_H
#define FULGUR_CPU_H

#include <stddef.h>
#include <stdint.h>

/// Those of the FULGUR_CPU_* features in `wanted` that the CPU, the operating
/// system or fulgur_limit_cpu() withholds. Asks the CPU at the first call only.
uint64_t fulgur__cpu_lacks(uint64_t wanted);

/// Writes the names of `features` to `text`, separated by ", ".
void fulgur__cpu_names(uint64_t features, char *text, size_t bytes);

#endif // FULGUR_CPU_H
