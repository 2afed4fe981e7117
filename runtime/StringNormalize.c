// StringNormalizer: https://onnx.ai/onnx/operators/onnx__StringNormalizer.html
#include "Text.h"

/// Changes the case of one string; its text may get longer or shorter.
static fulgur_status change_case(fulgur_frame *frame, fulgur_string *string,
                                 int32_t action) {
  if (action == 0 || string->bytes == 0)
    return FULGUR_OK;
  size_t bytes = 0;
  for (int writing = 0; writing < 2; ++writing) { // measured first
    char *text = writing ? fulgur__new_text(frame, bytes) : NULL, unit[4];
    if (writing && !text)
      return FULGUR_OUT_OF_MEMORY;
    bytes = 0;
    for (size_t at = 0, used; at < string->bytes; at += used) {
      uint32_t c = fulgur__decode(string->data + at, string->bytes - at, &used);
      uint32_t other = action == 1 ? fulgur__lower(c) : fulgur__upper(c);
      size_t length = used;
      if (other != c)
        length = fulgur__encode(other, unit);
      else
        memcpy(unit, string->data + at, used);
      if (text)
        memcpy(text + bytes, unit, length);
      bytes += length;
    }
    if (text)
      *string = (fulgur_string){text, bytes};
  }
  return FULGUR_OK;
}

/// Are they the same, or, if not `sensitive`, but for case?
static int same(fulgur_string a, fulgur_string b, int sensitive) {
  if (sensitive)
    return fulgur__same_text(a, b);
  size_t i = 0, k = 0, used;
  while (i < a.bytes && k < b.bytes) {
    uint32_t x = fulgur__decode(a.data + i, a.bytes - i, &used);
    i += used;
    uint32_t y = fulgur__decode(b.data + k, b.bytes - k, &used);
    k += used;
    if (fulgur__lower(x) != fulgur__lower(y))
      return 0;
  }
  return i == a.bytes && k == b.bytes;
}

int32_t fulgur__string_normalize(fulgur_frame *frame, int32_t to, int32_t x,
                                 int32_t stopwords, int32_t action,
                                 int32_t sensitive, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, x, FULGUR_STRING, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  const fulgur_value *stops = NULL;
  if (stopwords >= 0 &&
      !(stops = fulgur__operand(frame, stopwords, FULGUR_STRING, node)))
    return FULGUR_INVALID_VALUE;
  int64_t n_stops = stops ? fulgur__elements(stops) : 0;
  if (value->rank < 1 || value->rank > 2 ||
      (value->rank == 2 && value->dims[0] != 1)) {
    char dims[96];
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "%s: the strings have dims %s, but must be [C] or "
                        "[1, C]",
                        node, fulgur__dims_text(value, dims, sizeof dims));
  }
  // At least one string comes out: an empty one if all are stopwords.
  int64_t count = fulgur__elements(value), kept = 0;
  int64_t dims[2] = {1, 1};
  dims[value->rank - 1] = count ? count : 1;
  fulgur_value result;
  fulgur_status status =
      fulgur__new_tensor(frame, &result, FULGUR_STRING, value->rank, dims);
  if (status != FULGUR_OK)
    return status;
  fulgur_string *strings = result.data;
  for (int64_t i = 0; i < count && status == FULGUR_OK; ++i) {
    fulgur_string string = ((const fulgur_string *)value->data)[i];
    int stop = 0;
    for (int64_t k = 0; k < n_stops && !stop; ++k)
      stop = same(string, ((const fulgur_string *)stops->data)[k], sensitive);
    if (stop)
      continue;
    status = change_case(frame, &string, action);
    strings[kept++] = string;
  }
  if (status != FULGUR_OK) {
    fulgur__drop(frame, &result);
    return status;
  }
  if (kept == 0)
    strings[kept++] = (fulgur_string){NULL, 0};
  result.dims[value->rank - 1] = kept;
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
