// Sizes of dense row-major tensors.
#ifndef FULGUR_DENSE_H
#define FULGUR_DENSE_H

#include "fulgur.h"

/// Bytes of a dense tensor; -1 when they, or the product of the dims that are
/// not 0, do not fit.
static inline int64_t fulgur__dense_bytes(int32_t dtype, int32_t rank,
                                          const int64_t *dims) {
  int64_t elements = 1, empty = 0;
  for (int32_t i = 0; i < rank; ++i) {
    if (dims[i] == 0)
      empty = 1; // the other dims must fit nevertheless: code multiplies them
    else if (__builtin_mul_overflow(elements, dims[i], &elements))
      return -1;
  }
  size_t bytes = fulgur_storage_bytes((fulgur_dtype)dtype, (size_t)elements);
  return bytes == 0 || bytes > PTRDIFF_MAX ? -1 : empty ? 0 : (int64_t)bytes;
}

/// The product of the dims from `first` up to, not including, `last`, which is
/// known to fit.
static inline int64_t fulgur__product(const int64_t *dims, int32_t first,
                                      int32_t last) {
  int64_t product = 1;
  for (int32_t i = first; i < last; ++i)
    product *= dims[i];
  return product;
}

#endif // FULGUR_DENSE_H
