// Optionals: none or one tensor or sequence. A tensor or sequence itself stands
// for an optional that has it, and a slot with nothing for one that has none.
#include "Value.h"

int32_t fulgur__optional(fulgur_frame *frame, int32_t to, int32_t from) {
  const fulgur_value *value = from < 0 ? NULL : &frame->slots[from];
  if (value && value->dtype == FULGUR_OPTIONAL)
    return fulgur__assign(frame, to, from);
  int64_t count = value && value->dtype != 0;
  fulgur_value optional;
  fulgur_status status =
      fulgur__new_values(frame, &optional, FULGUR_OPTIONAL, count, count);
  if (status != FULGUR_OK)
    return status;
  if (count)
    *fulgur__values(&optional) = fulgur__share(value);
  fulgur__put(frame, to, optional);
  return FULGUR_OK;
}

int32_t fulgur__optional_get(fulgur_frame *frame, int32_t to, int32_t from,
                             const char *node) {
  const fulgur_value *value = from < 0 ? NULL : &frame->slots[from];
  if (!value || value->dtype == 0 ||
      (value->dtype == FULGUR_OPTIONAL && value->dims[0] == 0))
    return fulgur__fail(FULGUR_INVALID_VALUE, "%s: the optional is empty",
                        node);
  if (value->dtype == FULGUR_OPTIONAL)
    value = fulgur__values(value);
  fulgur__put(frame, to, fulgur__share(value));
  return FULGUR_OK;
}

int32_t fulgur__optional_has(fulgur_frame *frame, int32_t to, int32_t from,
                             const char *node) {
  (void)node; // every value can answer
  const fulgur_value *value = from < 0 ? NULL : &frame->slots[from];
  int has = value && value->dtype != 0 &&
            !(value->dtype == FULGUR_OPTIONAL && value->dims[0] == 0);
  return fulgur__write(frame, to, FULGUR_BOOL, 0, has);
}
