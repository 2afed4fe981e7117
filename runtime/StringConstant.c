// String tensors that are in the model.
#include "Text.h"

int32_t fulgur__string_constant(fulgur_frame *frame, int32_t to,
                                const char *text, const int64_t *bytes,
                                int32_t rank, const int64_t *dims,
                                const char *node) {
  (void)node; // what is in the model cannot fail
  fulgur_value result;
  fulgur_status status =
      fulgur__new_tensor(frame, &result, FULGUR_STRING, rank, dims);
  if (status != FULGUR_OK)
    return status;
  fulgur_string *strings = result.data;
  for (int64_t i = 0, count = fulgur__elements(&result); i < count; ++i) {
    strings[i] = (fulgur_string){text, (size_t)bytes[i]};
    text += bytes[i];
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
