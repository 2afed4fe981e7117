// StringConcat: https://onnx.ai/onnx/operators/onnx__StringConcat.html
#include "Text.h"

int32_t fulgur__string_concat(fulgur_frame *frame, int32_t to, int32_t a,
                              int32_t b, const char *node) {
  fulgur_broadcast both;
  fulgur_value result;
  fulgur_status status =
      fulgur__broadcast(frame, a, b, FULGUR_STRING, &both, &result, node);
  if (status != FULGUR_OK)
    return status;
  fulgur_string *strings = result.data;
  for (int64_t i = 0, count = fulgur__elements(&result); i < count; ++i) {
    fulgur_string x = both.strings[0][both.at[0]],
                  y = both.strings[1][both.at[1]];
    char *text = fulgur__new_text(frame, x.bytes + y.bytes);
    if (!text) {
      fulgur__drop(frame, &result);
      return FULGUR_OUT_OF_MEMORY;
    }
    if (x.bytes)
      memcpy(text, x.data, x.bytes);
    if (y.bytes)
      memcpy(text + x.bytes, y.data, y.bytes);
    strings[i] = (fulgur_string){text, x.bytes + y.bytes};
    fulgur__advance(&both);
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
