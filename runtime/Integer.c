// See Integer.h.
#include "Integer.h"

#include <string.h>

int64_t fulgur__integer(fulgur_dtype dtype, const void *data, int64_t element) {
  union {
    int8_t i8;
    uint8_t u8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
  } x;
  size_t bytes = fulgur_dtype_bytes(dtype);
  memcpy(&x, (const char *)data + (size_t)element * bytes, bytes);
  switch (dtype) {
  case FULGUR_INT8:
    return x.i8;
  case FULGUR_UINT8:
    return x.u8;
  case FULGUR_INT16:
    return x.i16;
  case FULGUR_UINT16:
    return x.u16;
  case FULGUR_INT32:
    return x.i32;
  case FULGUR_UINT32:
    return x.u32;
  case FULGUR_UINT64:
    return x.u64 > INT64_MAX ? INT64_MAX : (int64_t)x.u64;
  case FULGUR_BOOL:
    return x.u8 != 0;
  default:
    return x.i64;
  }
}
