// One element of an integer tensor, whatever its width.
#ifndef FULGUR_INTEGER_H
#define FULGUR_INTEGER_H

#include "fulgur.h"

/// An element of a tensor of integers or BOOL, as a number; a uint64 that an
/// int64 does not hold is INT64_MAX.
int64_t fulgur__integer(fulgur_dtype dtype, const void *data, int64_t element);

#endif // FULGUR_INTEGER_H
