// Equal, on strings: https://onnx.ai/onnx/operators/onnx__Equal.html
#include "Text.h"

int32_t fulgur__string_equal(fulgur_frame *frame, int32_t to, int32_t a,
                             int32_t b, const char *node) {
  const fulgur_value *left = fulgur__operand(frame, a, FULGUR_STRING, node);
  const fulgur_value *right =
      left ? fulgur__operand(frame, b, FULGUR_STRING, node) : NULL;
  if (!right)
    return FULGUR_INVALID_VALUE;
  fulgur_broadcast both;
  fulgur_value result;
  fulgur_status status = fulgur__broadcast(left, right, &both, node);
  if (status == FULGUR_OK)
    status =
        fulgur__new_tensor(frame, &result, FULGUR_BOOL, both.rank, both.dims);
  if (status != FULGUR_OK)
    return status;
  uint8_t *same = result.data;
  for (int64_t i = 0, count = fulgur__elements(&result); i < count; ++i) {
    same[i] = (uint8_t)fulgur__same_text(
        ((const fulgur_string *)left->data)[both.at[0]],
        ((const fulgur_string *)right->data)[both.at[1]]);
    fulgur__advance(&both);
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
