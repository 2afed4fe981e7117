// Two operands of strings broadcast against each other.
#include "Text.h"

/// The dims of the result, and the operands' strides along them.
static fulgur_status align(const fulgur_value *a, const fulgur_value *b,
                           fulgur_broadcast *result, const char *node) {
  const fulgur_value *operands[] = {a, b};
  *result = (fulgur_broadcast){.strings = {a->data, b->data},
                               .rank = a->rank > b->rank ? a->rank : b->rank};
  for (int k = 0; k < 2; ++k) {
    const fulgur_value *operand = operands[k];
    int64_t stride = 1;
    for (int32_t i = 1; i <= operand->rank; ++i) {
      int32_t axis = result->rank - i;
      int64_t size = operand->dims[operand->rank - i],
              *dim = &result->dims[axis];
      int first = k == 0 || i > a->rank;
      if (first || *dim == 1)
        *dim = size;
      else if (size != 1 && size != *dim) {
        char left[96], right[96];
        return fulgur__fail(FULGUR_INVALID_DIMS,
                            "%s: operands with dims %s and %s cannot be "
                            "broadcast",
                            node, fulgur__dims_text(a, left, sizeof left),
                            fulgur__dims_text(b, right, sizeof right));
      }
      result->strides[k][axis] = size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  return FULGUR_OK;
}

fulgur_status fulgur__broadcast(fulgur_frame *frame, int32_t a, int32_t b,
                                int32_t dtype, fulgur_broadcast *broadcast,
                                fulgur_value *result, const char *node) {
  const fulgur_value *left = fulgur__operand(frame, a, FULGUR_STRING, node);
  const fulgur_value *right =
      left ? fulgur__operand(frame, b, FULGUR_STRING, node) : NULL;
  if (!right)
    return FULGUR_INVALID_VALUE;
  fulgur_status status = align(left, right, broadcast, node);
  return status != FULGUR_OK
             ? status
             : fulgur__new_tensor(frame, result, dtype, broadcast->rank,
                                  broadcast->dims);
}

void fulgur__advance(fulgur_broadcast *broadcast) {
  for (int32_t axis = broadcast->rank - 1; axis >= 0; --axis) {
    for (int k = 0; k < 2; ++k)
      broadcast->at[k] += broadcast->strides[k][axis];
    if (++broadcast->index[axis] < broadcast->dims[axis])
      return;
    for (int k = 0; k < 2; ++k)
      broadcast->at[k] -= broadcast->strides[k][axis] * broadcast->dims[axis];
    broadcast->index[axis] = 0;
  }
}
