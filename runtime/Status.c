// Names of statuses and element types, and the message of the last failing call
// on this thread.
#include "Status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[512];

fulgur_status fulgur__fail(fulgur_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return status;
}

const char *fulgur_last_message(void) { return message; }

const char *fulgur_status_name(fulgur_status status) {
  switch (status) {
  case FULGUR_OK:
    return "ok";
  case FULGUR_INVALID_ARGUMENT:
    return "invalid argument";
  case FULGUR_INVALID_COUNT:
    return "invalid count";
  case FULGUR_INVALID_DTYPE:
    return "invalid dtype";
  case FULGUR_INVALID_RANK:
    return "invalid rank";
  case FULGUR_INVALID_DIMS:
    return "invalid dims";
  case FULGUR_BUFFER_TOO_SMALL:
    return "buffer too small";
  case FULGUR_INVALID_VALUE:
    return "invalid value";
  case FULGUR_UNSUPPORTED_CPU:
    return "unsupported cpu";
  case FULGUR_INVALID_WEIGHTS:
    return "invalid weights";
  case FULGUR_VERSION_MISMATCH:
    return "version mismatch";
  case FULGUR_OUT_OF_MEMORY:
    return "out of memory";
  }
  return "unknown status";
}

static const struct {
  const char *name;
  size_t bits;
} dtypes[] = {
    [FULGUR_FLOAT32] = {"float32", 32},
    [FULGUR_UINT8] = {"uint8", 8},
    [FULGUR_INT8] = {"int8", 8},
    [FULGUR_UINT16] = {"uint16", 16},
    [FULGUR_INT16] = {"int16", 16},
    [FULGUR_INT32] = {"int32", 32},
    [FULGUR_INT64] = {"int64", 64},
    [FULGUR_BOOL] = {"bool", 8},
    [FULGUR_FLOAT16] = {"float16", 16},
    [FULGUR_FLOAT64] = {"float64", 64},
    [FULGUR_UINT32] = {"uint32", 32},
    [FULGUR_UINT64] = {"uint64", 64},
    [FULGUR_BFLOAT16] = {"bfloat16", 16},
    [FULGUR_FLOAT8E4M3FN] = {"float8e4m3fn", 8},
    [FULGUR_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 8},
    [FULGUR_FLOAT8E5M2] = {"float8e5m2", 8},
    [FULGUR_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 8},
    [FULGUR_FLOAT8E8M0] = {"float8e8m0", 8},
    [FULGUR_UINT4] = {"uint4", 4},
    [FULGUR_INT4] = {"int4", 4},
    [FULGUR_FLOAT4E2M1] = {"float4e2m1", 4},
    [FULGUR_UINT2] = {"uint2", 2},
    [FULGUR_INT2] = {"int2", 2},
    [FULGUR_FLOAT6E2M3] = {"float6e2m3", 6},
    [FULGUR_FLOAT6E3M2] = {"float6e3m2", 6},
    [FULGUR_STRING] = {"string", 8 * sizeof(fulgur_string)},
    [FULGUR_SEQUENCE] = {"sequence", 8 * sizeof(fulgur_tensor)},
    [FULGUR_OPTIONAL] = {"optional", 8 * sizeof(fulgur_tensor)},
    [FULGUR_MAP] = {"map", 8 * sizeof(fulgur_tensor)},
};

static int known(fulgur_dtype dtype) {
  return (size_t)dtype < sizeof dtypes / sizeof *dtypes && dtypes[dtype].name;
}

size_t fulgur_dtype_bytes(fulgur_dtype dtype) {
  return known(dtype) ? dtypes[dtype].bits / 8 : 0;
}

size_t fulgur_storage_bytes(fulgur_dtype dtype, size_t elements) {
  size_t bits = known(dtype) ? dtypes[dtype].bits : 0, bytes = 0;
  if (bits < 8) // groups of 8 elements, and what the rest needs
    return elements / 8 * bits + (elements % 8 * bits + 7) / 8;
  return __builtin_mul_overflow(elements, bits / 8, &bytes) ? 0 : bytes;
}

const char *fulgur_dtype_name(fulgur_dtype dtype) {
  return known(dtype) ? dtypes[dtype].name : "unknown type";
}
