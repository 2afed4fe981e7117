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
  size_t bytes;
} dtypes[] = {
    [FULGUR_FLOAT32] = {"float32", 4},
    [FULGUR_UINT8] = {"uint8", 1},
    [FULGUR_INT8] = {"int8", 1},
    [FULGUR_UINT16] = {"uint16", 2},
    [FULGUR_INT16] = {"int16", 2},
    [FULGUR_INT32] = {"int32", 4},
    [FULGUR_INT64] = {"int64", 8},
    [FULGUR_BOOL] = {"bool", 1},
    [FULGUR_FLOAT16] = {"float16", 2},
    [FULGUR_FLOAT64] = {"float64", 8},
    [FULGUR_UINT32] = {"uint32", 4},
    [FULGUR_UINT64] = {"uint64", 8},
    [FULGUR_BFLOAT16] = {"bfloat16", 2},
    [FULGUR_STRING] = {"string", sizeof(fulgur_string)},
    [FULGUR_SEQUENCE] = {"sequence", sizeof(fulgur_tensor)},
    [FULGUR_OPTIONAL] = {"optional", sizeof(fulgur_tensor)},
};

static int known(fulgur_dtype dtype) {
  return (size_t)dtype < sizeof dtypes / sizeof *dtypes && dtypes[dtype].name;
}

size_t fulgur_dtype_bytes(fulgur_dtype dtype) {
  return known(dtype) ? dtypes[dtype].bytes : 0;
}

const char *fulgur_dtype_name(fulgur_dtype dtype) {
  return known(dtype) ? dtypes[dtype].name : "unknown type";
}
