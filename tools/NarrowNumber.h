// Elements of a byte and less as numbers: integers of 4 and 2 bits, and
// floating point of 8, 6 and 4 bits.
#ifndef FULGUR_TOOLS_NARROWNUMBER_H
#define FULGUR_TOOLS_NARROWNUMBER_H

#include "fulgur.h"

/// Bits of an element if it is one of these types, else 0.
unsigned narrowBits(fulgur_dtype dtype);
/// The number that the low bits of `code` stand for.
double decodeNarrow(fulgur_dtype dtype, unsigned code);
/// The code of the number nearest to `value`, halves to even.
unsigned encodeNarrow(fulgur_dtype dtype, double value);

#endif // FULGUR_TOOLS_NARROWNUMBER_H
