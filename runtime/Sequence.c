// Sequences of tensors. Their elements are shared, never copied.
#include "Value.h"

#include <inttypes.h>
#include <string.h>

int32_t fulgur__sequence_empty(fulgur_frame *frame, int32_t to, int32_t dtype) {
  (void)dtype; // an empty sequence of any type is the same
  fulgur__put(frame, to, (fulgur_value){.dtype = FULGUR_SEQUENCE, .rank = 1});
  return FULGUR_OK;
}

int32_t fulgur__sequence_construct(fulgur_frame *frame, int32_t to,
                                   const int32_t *slots, int32_t count) {
  fulgur_value sequence;
  fulgur_status status =
      fulgur__new_values(frame, &sequence, FULGUR_SEQUENCE, count, count);
  if (status != FULGUR_OK)
    return status;
  for (int32_t i = 0; i < count; ++i) {
    const fulgur_value *value =
        fulgur__operand(frame, slots[i], 0, frame->name);
    if (!value) {
      fulgur__drop(frame, &sequence);
      return FULGUR_INVALID_VALUE;
    }
    fulgur__values(&sequence)[i] = fulgur__share(value);
  }
  fulgur__put(frame, to, sequence);
  return FULGUR_OK;
}

/// A position in a sequence of `length`, from 0; those up to `limit`,
/// exclusive, are possible. Slot -1 is `otherwise`.
static fulgur_status position_at(fulgur_frame *frame, int32_t slot,
                                 int64_t length, int64_t limit,
                                 int64_t otherwise, int64_t *position,
                                 const char *node) {
  int64_t given = otherwise;
  if (slot >= 0) {
    int32_t status = fulgur__read(frame, slot, &given, node);
    if (status)
      return (fulgur_status)status;
  }
  *position = given < 0 && given >= -length ? given + length : given;
  if (*position < 0 || *position >= limit)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: position %" PRId64 " is outside a sequence of "
                        "%" PRId64,
                        node, given, length);
  return FULGUR_OK;
}

/// A sequence nobody else has, with room for one element more: the slot's own
/// if it is alone and `in_place`, else a copy. Room doubles, so that appending
/// takes constant time on average.
static fulgur_status make_longer(fulgur_frame *frame, int32_t slot,
                                 int in_place, fulgur_value *longer) {
  fulgur_value *old = &frame->slots[slot];
  int64_t length = old->dtype ? old->dims[0] : 0;
  const fulgur_buffer *buffer = old->buffer;
  int alone = in_place && buffer && buffer->users == 1;
  if (alone &&
      buffer->bytes / sizeof(fulgur_value) > (uint64_t)buffer->values) {
    *longer = *old;
    *old = (fulgur_value){0};
    return FULGUR_OK;
  }
  fulgur_status status =
      fulgur__new_values(frame, longer, FULGUR_SEQUENCE, length,
                         in_place ? 2 * length + 4 : length + 1);
  if (status != FULGUR_OK)
    return status;
  for (int64_t i = 0; i < length; ++i)
    fulgur__values(longer)[i] = fulgur__share(&fulgur__values(old)[i]);
  return FULGUR_OK;
}

/// Puts `value` into `sequence`, which has room and is nobody else's.
static void place(fulgur_value *sequence, int64_t position,
                  fulgur_value value) {
  fulgur_value *values = fulgur__values(sequence);
  memmove(values + position + 1, values + position,
          (size_t)(sequence->dims[0] - position) * sizeof *values);
  values[position] = value;
  sequence->dims[0] += 1;
  sequence->buffer->values += 1;
}

int32_t fulgur__sequence_insert(fulgur_frame *frame, int32_t to,
                                int32_t sequence, int32_t value,
                                int32_t position, const char *node) {
  const fulgur_value *old =
      fulgur__operand(frame, sequence, FULGUR_SEQUENCE, node);
  const fulgur_value *element =
      old ? fulgur__operand(frame, value, 0, node) : NULL;
  if (!element)
    return FULGUR_INVALID_VALUE;
  int64_t length = old->dims[0], at = 0;
  fulgur_status status =
      position_at(frame, position, length, length + 1, length, &at, node);
  if (status != FULGUR_OK)
    return status;
  fulgur_value added = fulgur__share(element), longer;
  status = make_longer(frame, sequence, to == sequence, &longer);
  if (status != FULGUR_OK) {
    fulgur__drop(frame, &added);
    return status;
  }
  place(&longer, at, added);
  fulgur__put(frame, to, longer);
  return FULGUR_OK;
}

/// Adds an element to a slot's own sequence, at its start or its end.
static int32_t extend(fulgur_frame *frame, int32_t sequence, int32_t value,
                      int at_end) {
  if (frame->slots[sequence].dtype &&
      !fulgur__operand(frame, sequence, FULGUR_SEQUENCE, frame->name))
    return FULGUR_INVALID_VALUE;
  const fulgur_value *element = fulgur__operand(frame, value, 0, frame->name);
  if (!element)
    return FULGUR_INVALID_VALUE;
  fulgur_value longer;
  fulgur_status status = make_longer(frame, sequence, 1, &longer);
  if (status != FULGUR_OK)
    return status;
  place(&longer, at_end ? longer.dims[0] : 0, fulgur__share(element));
  fulgur__put(frame, sequence, longer);
  return FULGUR_OK;
}

int32_t fulgur__sequence_append(fulgur_frame *frame, int32_t sequence,
                                int32_t value) {
  return extend(frame, sequence, value, 1);
}

int32_t fulgur__sequence_prepend(fulgur_frame *frame, int32_t sequence,
                                 int32_t value) {
  return extend(frame, sequence, value, 0);
}

int32_t fulgur__sequence_erase(fulgur_frame *frame, int32_t to,
                               int32_t sequence, int32_t position,
                               const char *node) {
  const fulgur_value *old =
      fulgur__operand(frame, sequence, FULGUR_SEQUENCE, node);
  if (!old)
    return FULGUR_INVALID_VALUE;
  int64_t length = old->dims[0], at = 0;
  fulgur_status status =
      position_at(frame, position, length, length, length - 1, &at, node);
  fulgur_value shorter;
  if (status == FULGUR_OK)
    status = fulgur__new_values(frame, &shorter, FULGUR_SEQUENCE, length - 1,
                                length - 1);
  if (status != FULGUR_OK)
    return status;
  for (int64_t i = 0; i < length - 1; ++i)
    fulgur__values(&shorter)[i] =
        fulgur__share(&fulgur__values(old)[i < at ? i : i + 1]);
  fulgur__put(frame, to, shorter);
  return FULGUR_OK;
}

int32_t fulgur__sequence_at(fulgur_frame *frame, int32_t to, int32_t sequence,
                            int32_t position, const char *node) {
  const fulgur_value *value =
      fulgur__operand(frame, sequence, FULGUR_SEQUENCE, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  int64_t length = value->dims[0], at = 0;
  fulgur_status status =
      position_at(frame, position, length, length, -1, &at, node);
  if (status != FULGUR_OK)
    return status;
  fulgur__put(frame, to, fulgur__share(&fulgur__values(value)[at]));
  return FULGUR_OK;
}

int32_t fulgur__sequence_length(fulgur_frame *frame, int32_t to,
                                int32_t sequence, const char *node) {
  const fulgur_value *value =
      fulgur__operand(frame, sequence, FULGUR_SEQUENCE, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  return fulgur__write(frame, to, FULGUR_INT64, 0, value->dims[0]);
}
