// StringSplit: https://onnx.ai/onnx/operators/onnx__StringSplit.html
#include "Text.h"

#include <inttypes.h>

/// What str.split() of Python takes for white space.
static int is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// The first bytes of `text` that are white space, or that are not.
static size_t span(fulgur_string text, int space) {
  size_t at = 0, used;
  while (at < text.bytes &&
         is_space(fulgur__decode(text.data + at, text.bytes - at, &used)) ==
             space)
    at += used;
  return at;
}

static fulgur_string from(fulgur_string text, size_t start) {
  return (fulgur_string){text.data ? text.data + start : NULL,
                         text.bytes - start};
}

/// Writes the pieces of one string to `pieces`, unless it is null, and returns
/// how many there are. After `maxsplit` cuts the rest is one piece.
static int64_t split(fulgur_string text, fulgur_string delimiter,
                     int64_t maxsplit, fulgur_string *pieces) {
  int64_t count = 0;
  if (delimiter.bytes == 0) { // runs of white space, and none at the ends
    for (text = from(text, span(text, 1)); text.bytes;
         text = from(text, span(text, 1))) {
      size_t bytes =
          maxsplit >= 0 && count >= maxsplit ? text.bytes : span(text, 0);
      if (pieces)
        pieces[count] = (fulgur_string){text.data, bytes};
      ++count;
      text = from(text, bytes);
    }
    return count;
  }
  for (size_t start = 0, at = 0;;) {
    int cut = at + delimiter.bytes <= text.bytes &&
              (maxsplit < 0 || count < maxsplit);
    if (cut && memcmp(text.data + at, delimiter.data, delimiter.bytes) != 0) {
      ++at;
      continue;
    }
    if (pieces)
      pieces[count] = (fulgur_string){from(text, start).data,
                                      cut ? at - start : text.bytes - start};
    ++count;
    if (!cut)
      return count;
    start = at += delimiter.bytes;
  }
}

int32_t fulgur__string_split(fulgur_frame *frame, int32_t to, int32_t counts,
                             int32_t x, const char *delimiter, int64_t maxsplit,
                             const char *node) {
  const fulgur_value *value = fulgur__operand(frame, x, FULGUR_STRING, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  if (value->rank == FULGUR_MAX_RANK)
    return fulgur__fail(FULGUR_INVALID_RANK,
                        "%s: the result would have rank %d, but at most %d is "
                        "possible",
                        node, FULGUR_MAX_RANK + 1, FULGUR_MAX_RANK);
  const fulgur_string *strings = value->data;
  fulgur_string by = {delimiter, delimiter ? strlen(delimiter) : 0};
  fulgur_value numbers, pieces;
  fulgur_status status = fulgur__new_tensor(frame, &numbers, FULGUR_INT64,
                                            value->rank, value->dims);
  if (status != FULGUR_OK)
    return status;
  int64_t most = 0, elements = fulgur__elements(value), *number = numbers.data;
  for (int64_t i = 0; i < elements; ++i) {
    number[i] = split(strings[i], by, maxsplit, NULL);
    most = number[i] > most ? number[i] : most;
  }
  int64_t dims[FULGUR_MAX_RANK];
  memcpy(dims, value->dims, sizeof dims);
  dims[value->rank] = most;
  status =
      fulgur__new_tensor(frame, &pieces, FULGUR_STRING, value->rank + 1, dims);
  if (status != FULGUR_OK) {
    fulgur__drop(frame, &numbers);
    return status;
  }
  for (int64_t i = 0; i < elements; ++i) {
    fulgur_string *row = (fulgur_string *)pieces.data + i * most;
    for (int64_t k = split(strings[i], by, maxsplit, row); k < most; ++k)
      row[k] = (fulgur_string){NULL, 0};
  }
  // The text of the pieces is that of x, which lives as long as the frame.
  fulgur__put(frame, to, pieces);
  if (counts >= 0)
    fulgur__put(frame, counts, numbers);
  else
    fulgur__drop(frame, &numbers);
  return FULGUR_OK;
}
