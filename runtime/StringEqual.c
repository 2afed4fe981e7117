// Equal, on strings: https://onnx.ai/onnx/operators/onnx__Equal.html
#include "Text.h"

int32_t fulgur__string_equal(fulgur_frame *frame, int32_t to, int32_t a,
                             int32_t b, const char *node) {
  fulgur_broadcast both;
  fulgur_value result;
  fulgur_status status =
      fulgur__broadcast(frame, a, b, FULGUR_BOOL, &both, &result, node);
  if (status != FULGUR_OK)
    return status;
  uint8_t *same = result.data;
  for (int64_t i = 0, count = fulgur__elements(&result); i < count; ++i) {
    same[i] = (uint8_t)fulgur__same_text(both.strings[0][both.at[0]],
                                         both.strings[1][both.at[1]]);
    fulgur__advance(&both);
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
