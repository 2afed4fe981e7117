// Maps, which only leave a model:
// https://onnx.ai/onnx/operators/onnx_aionnxml_ZipMap.html
#include "Value.h"

#include <inttypes.h>

/// Row `row` of the scores as a map from the keys, without a copy.
static fulgur_status map_of_row(fulgur_frame *frame, const fulgur_value *scores,
                                const fulgur_value *keys, int64_t row,
                                fulgur_value *map) {
  fulgur_status status = fulgur__new_values(frame, map, FULGUR_MAP, 2, 2);
  if (status != FULGUR_OK)
    return status;
  fulgur_value *parts = fulgur__values(map), *values = &parts[1];
  parts[0] = fulgur__share(keys);
  *values = fulgur__share(scores);
  values->rank = 1;
  values->dims[0] = keys->dims[0];
  size_t bytes =
      (size_t)keys->dims[0] * fulgur_dtype_bytes((fulgur_dtype)scores->dtype);
  if (scores->data)
    values->data = (char *)scores->data + (size_t)row * bytes;
  return FULGUR_OK;
}

int32_t fulgur__zip_map(fulgur_frame *frame, int32_t to, int32_t x,
                        int32_t keys, const char *node) {
  const fulgur_value *scores = fulgur__operand(frame, x, 0, node),
                     *names = fulgur__operand(frame, keys, 0, node);
  if (!scores || !names)
    return FULGUR_INVALID_VALUE;
  int32_t last = scores->rank - 1;
  if (last < 0 || last > 1 || names->rank != 1 ||
      scores->dims[last] != names->dims[0])
    return fulgur__fail(
        FULGUR_INVALID_VALUE,
        "%s: there are %" PRId64 " keys for %" PRId64 " columns", node,
        names->dims[0], last < 0 ? 0 : scores->dims[last]);
  int64_t rows = last ? scores->dims[0] : 1;
  fulgur_value sequence;
  fulgur_status status =
      fulgur__new_values(frame, &sequence, FULGUR_SEQUENCE, rows, rows);
  if (status != FULGUR_OK)
    return status;
  for (int64_t row = 0; row < rows && status == FULGUR_OK; ++row)
    status =
        map_of_row(frame, scores, names, row, &fulgur__values(&sequence)[row]);
  if (status == FULGUR_OK)
    fulgur__put(frame, to, sequence);
  else
    fulgur__drop(frame, &sequence);
  return status;
}
