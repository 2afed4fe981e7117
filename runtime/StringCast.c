// Cast between numbers and strings:
// https://onnx.ai/onnx/operators/onnx__Cast.html
#include "Half.h"
#include "Text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LONGEST = 64 }; // of a number's text

// ---- numbers to strings ----

/// The types of the numbers that strings can stand for.
static int is_number(int32_t dtype) {
  return fulgur__is_integer(dtype) || dtype == FULGUR_FLOAT32 ||
         dtype == FULGUR_FLOAT64 || dtype == FULGUR_FLOAT16 ||
         dtype == FULGUR_BFLOAT16;
}

static fulgur_status no_number(int32_t dtype, const char *node) {
  return fulgur__fail(FULGUR_INVALID_DTYPE,
                      "%s: there is no cast between strings and %s", node,
                      fulgur_dtype_name((fulgur_dtype)dtype));
}

static double float_at(int32_t dtype, const void *data, int64_t i) {
  switch (dtype) {
  case FULGUR_FLOAT32:
    return ((const float *)data)[i];
  case FULGUR_FLOAT64:
    return ((const double *)data)[i];
  case FULGUR_FLOAT16:
    return fulgur__from_half(((const uint16_t *)data)[i]);
  default:
    return fulgur__from_bfloat(((const uint16_t *)data)[i]);
  }
}

/// `value` rounded to an element of this type.
static double rounded(int32_t dtype, double value) {
  switch (dtype) {
  case FULGUR_FLOAT32:
    return (float)value;
  case FULGUR_FLOAT64:
    return value;
  case FULGUR_FLOAT16:
    return fulgur__from_half(fulgur__to_half(value));
  default:
    return fulgur__from_bfloat(fulgur__to_bfloat(value));
  }
}

/// The fewest digits that give the same element when read again. Returns how
/// many there are; the first one stands for 10^exponent.
static int shortest(int32_t dtype, double value, char *digits, int *exponent) {
  char text[LONGEST];
  int count = 0;
  for (int precision = 0; precision < 17; ++precision) {
    snprintf(text, sizeof text, "%.*e", precision, value);
    // Both ways with the locale's decimal point, and float32 without rounding
    // twice.
    double again = dtype == FULGUR_FLOAT32 ? (double)strtof(text, NULL)
                                           : rounded(dtype, strtod(text, NULL));
    if (again == value)
      break;
  }
  const char *at = text;
  for (; *at && *at != 'e'; ++at)
    if (*at >= '0' && *at <= '9')
      digits[count++] = *at;
  *exponent = *at ? atoi(at + 1) : 0;
  while (count > 1 && digits[count - 1] == '0')
    --count;
  return count;
}

/// A floating-point number as numpy writes it: "0.1", "1.0", "1e-05".
static size_t write_float(int32_t dtype, double value, char *text) {
  if (value != value)
    return (size_t)snprintf(text, LONGEST, "NaN");
  const char *sign = signbit(value) ? "-" : "";
  value = fabs(value);
  if (isinf(value))
    return (size_t)snprintf(text, LONGEST, "%sINF", sign);
  // numpy's limits: about as many digits as the type has.
  int plain = dtype == FULGUR_FLOAT64 ? 16 : dtype == FULGUR_FLOAT32 ? 8 : 3;
  char digits[LONGEST];
  int exponent, count = shortest(dtype, value, digits, &exponent);
  if (exponent < -4 || exponent >= plain)
    return (size_t)snprintf(text, LONGEST, "%s%c%s%.*se%c%02d", sign, digits[0],
                            count > 1 ? "." : "", count - 1, digits + 1,
                            exponent < 0 ? '-' : '+', abs(exponent));
  static const char zeros[] = "0000000000000000";
  if (exponent < 0)
    return (size_t)snprintf(text, LONGEST, "%s0.%.*s%.*s", sign, -exponent - 1,
                            zeros, count, digits);
  int whole = exponent + 1;
  if (count <= whole)
    return (size_t)snprintf(text, LONGEST, "%s%.*s%.*s.0", sign, count, digits,
                            whole - count, zeros);
  return (size_t)snprintf(text, LONGEST, "%s%.*s.%.*s", sign, whole, digits,
                          count - whole, digits + whole);
}

int32_t fulgur__string_from(fulgur_frame *frame, int32_t to, int32_t x,
                            const char *node) {
  const fulgur_value *value = fulgur__operand(frame, x, 0, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  if (value->dtype == FULGUR_STRING)
    return fulgur__assign(frame, to, x);
  if (!is_number(value->dtype))
    return no_number(value->dtype, node);
  fulgur_value result;
  fulgur_status status = fulgur__new_tensor(frame, &result, FULGUR_STRING,
                                            value->rank, value->dims);
  if (status != FULGUR_OK)
    return status;
  fulgur_string *strings = result.data;
  for (int64_t i = 0, count = fulgur__elements(value); i < count; ++i) {
    char text[LONGEST];
    size_t bytes;
    if (value->dtype == FULGUR_BOOL)
      bytes = (size_t)snprintf(text, sizeof text, "%s",
                               ((const uint8_t *)value->data)[i] ? "True"
                                                                 : "False");
    else if (value->dtype == FULGUR_UINT64)
      bytes = (size_t)snprintf(text, sizeof text, "%" PRIu64,
                               ((const uint64_t *)value->data)[i]);
    else if (fulgur__is_integer(value->dtype))
      bytes = (size_t)snprintf(text, sizeof text, "%" PRId64,
                               fulgur__integer_at(value, i));
    else
      bytes = write_float(value->dtype, float_at(value->dtype, value->data, i),
                          text);
    char *kept = fulgur__new_text(frame, bytes);
    if (!kept) {
      fulgur__drop(frame, &result);
      return FULGUR_OUT_OF_MEMORY;
    }
    memcpy(kept, text, bytes);
    strings[i] = (fulgur_string){kept, bytes};
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}

// ---- strings to numbers ----

/// The text without white space at its ends, terminated, its decimal point that
/// of the locale; 0 when it does not fit.
static int tidy(fulgur_string string, char *text, size_t room) {
  while (string.bytes && (unsigned char)string.data[0] <= ' ')
    ++string.data, --string.bytes;
  while (string.bytes && (unsigned char)string.data[string.bytes - 1] <= ' ')
    --string.bytes;
  char point[8];
  snprintf(point, sizeof point, "%.1f", 0.5); // "0.5", or "0,5"
  size_t at = 0;
  for (size_t i = 0; i < string.bytes; ++i) {
    if (at + sizeof point >= room || string.data[i] == 0)
      return 0;
    if (string.data[i] != '.') {
      text[at++] = string.data[i];
      continue;
    }
    for (const char *c = point + 1; *c && *c != '5'; ++c)
      text[at++] = *c;
  }
  text[at] = 0;
  return at > 0;
}

/// Reads a whole number; what has a point or an exponent loses its fraction.
static int read_integer(int32_t dtype, const char *text, int64_t *value) {
  char *end;
  errno = 0;
  if (dtype == FULGUR_UINT64 && text[0] != '-')
    *value = (int64_t)strtoull(text, &end, 10);
  else
    *value = strtoll(text, &end, 10);
  if (*end == 0)
    return errno == 0;
  double number = strtod(text, &end);
  if (*end != 0 || !(fabs(number) < 0x1p63))
    return 0;
  *value = (int64_t)number;
  return 1;
}

/// Reads one element into `out`; 0 when the text is no number.
static int read_number(fulgur_string string, int32_t dtype, char *out) {
  char text[512], *end;
  if (!tidy(string, text, sizeof text))
    return 0;
  if (fulgur__is_integer(dtype)) {
    int64_t value;
    if (dtype == FULGUR_BOOL &&
        (strcmp(text, "True") == 0 || strcmp(text, "true") == 0))
      value = 1;
    else if (dtype == FULGUR_BOOL &&
             (strcmp(text, "False") == 0 || strcmp(text, "false") == 0))
      value = 0;
    else if (!read_integer(dtype, text, &value))
      return 0;
    if (dtype == FULGUR_BOOL)
      value = value != 0;
    memcpy(out, &value, fulgur_dtype_bytes((fulgur_dtype)dtype));
    return 1;
  }
  if (dtype == FULGUR_FLOAT32) { // rounded once
    float value = strtof(text, &end);
    memcpy(out, &value, sizeof value);
    return *end == 0;
  }
  double value = strtod(text, &end);
  uint16_t bits = dtype == FULGUR_FLOAT16 ? fulgur__to_half(value)
                                          : fulgur__to_bfloat(value);
  if (dtype == FULGUR_FLOAT64)
    memcpy(out, &value, sizeof value);
  else
    memcpy(out, &bits, sizeof bits);
  return *end == 0;
}

int32_t fulgur__string_to(fulgur_frame *frame, int32_t to, int32_t x,
                          int32_t dtype, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, x, FULGUR_STRING, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  if (dtype == FULGUR_STRING)
    return fulgur__assign(frame, to, x);
  if (!is_number(dtype))
    return no_number(dtype, node);
  fulgur_value result;
  fulgur_status status =
      fulgur__new_tensor(frame, &result, dtype, value->rank, value->dims);
  if (status != FULGUR_OK)
    return status;
  size_t element = fulgur_dtype_bytes((fulgur_dtype)dtype);
  const fulgur_string *strings = value->data;
  for (int64_t i = 0, count = fulgur__elements(value); i < count; ++i)
    if (!read_number(strings[i], dtype,
                     (char *)result.data + (size_t)i * element)) {
      fulgur__drop(frame, &result);
      size_t shown = strings[i].bytes < 40 ? strings[i].bytes : 40;
      return fulgur__fail(FULGUR_INVALID_VALUE,
                          "%s: element %" PRId64 ", '%.*s', is no %s", node, i,
                          (int)shown, shown ? strings[i].data : "",
                          fulgur_dtype_name((fulgur_dtype)dtype));
    }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
