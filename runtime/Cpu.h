// What the CPU under this process can do.
#ifndef FULGUR_CPU_H
#define FULGUR_CPU_H

#include <stddef.h>
#include <stdint.h>

/// The FULGUR_CPU_* features that both the CPU and the operating system
/// support. Asks the CPU at the first call only.
uint64_t fulgur__cpu_features(void);

/// Writes the names of `features` to `text`, separated by ", ".
void fulgur__cpu_names(uint64_t features, char *text, size_t bytes);

#endif // FULGUR_CPU_H
