// Cutting tensors along an axis, and putting them together.
#include "Value.h"

#include <inttypes.h>
#include <string.h>

/// Makes `piece` the `count` slices from `start` of `axis`: a view where they
/// are in one piece, else a copy.
static fulgur_status cut(fulgur_frame *frame, const fulgur_value *from,
                         int32_t axis, int64_t start, int64_t count,
                         fulgur_value *piece) {
  int64_t dims[FULGUR_MAX_RANK];
  memcpy(dims, from->dims, sizeof dims);
  dims[axis] = count;
  size_t element = fulgur_dtype_bytes((fulgur_dtype)from->dtype);
  size_t inner =
      element * (size_t)fulgur__product(from->dims, axis + 1, from->rank);
  int64_t outer = fulgur__product(from->dims, 0, axis);
  const char *source = from->data;
  if (outer == 1) {
    *piece = fulgur__share(from);
    memcpy(piece->dims, dims, sizeof dims);
    if (source)
      piece->data = (void *)(uintptr_t)(source + (size_t)start * inner);
    return FULGUR_OK;
  }
  fulgur_status status =
      fulgur__new_tensor(frame, piece, from->dtype, from->rank, dims);
  if (status != FULGUR_OK)
    return status;
  size_t bytes = (size_t)count * inner, step = (size_t)from->dims[axis] * inner;
  if (bytes)
    for (int64_t i = 0; i < outer; ++i)
      memcpy((char *)piece->data + (size_t)i * bytes,
             source + (size_t)i * step + (size_t)start * inner, bytes);
  return FULGUR_OK;
}

/// Takes an axis of size 1 away, or puts one in.
static void remove_axis(fulgur_value *value, int32_t axis) {
  memmove(value->dims + axis, value->dims + axis + 1,
          (size_t)(value->rank - axis - 1) * sizeof *value->dims);
  value->dims[--value->rank] = 0;
}

int32_t fulgur__take(fulgur_frame *frame, int32_t to, int32_t from,
                     int32_t axis, int64_t index, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, from, 0, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  fulgur_status status = fulgur__axis(&axis, value->rank, node);
  if (status != FULGUR_OK)
    return status;
  if (index < 0 || index >= value->dims[axis])
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: slice %" PRId64 " is outside axis %d of %" PRId64,
                        node, index, (int)axis, value->dims[axis]);
  fulgur_value piece;
  status = cut(frame, value, axis, index, 1, &piece);
  if (status != FULGUR_OK)
    return status;
  remove_axis(&piece, axis);
  fulgur__put(frame, to, piece);
  return FULGUR_OK;
}

/// Are two elements alike but for dim `except`?
static int alike(const fulgur_value *a, const fulgur_value *b, int32_t except) {
  if (a->dtype != b->dtype || a->rank != b->rank)
    return 0;
  for (int32_t i = 0; i < a->rank; ++i)
    if (i != except && a->dims[i] != b->dims[i])
      return 0;
  return 1;
}

/// Puts the elements of a sequence, of which there are some, one behind the
/// other along `axis`, which is a new one of theirs if `new_axis`.
static fulgur_status join(fulgur_frame *frame, int32_t to,
                          const fulgur_value *sequence, int32_t axis,
                          int new_axis, const char *node) {
  const fulgur_value *parts = fulgur__values(sequence);
  int64_t count = sequence->dims[0], total = 0;
  int32_t rank = parts[0].rank + (new_axis ? 1 : 0);
  if (rank > FULGUR_MAX_RANK)
    return fulgur__fail(FULGUR_INVALID_RANK,
                        "%s: the result would have rank %d, but at most %d is "
                        "possible",
                        node, (int)rank, FULGUR_MAX_RANK);
  fulgur_status status = fulgur__axis(&axis, rank, node);
  if (status != FULGUR_OK)
    return status;
  for (int64_t i = 0; i < count; ++i) {
    if (!alike(&parts[0], &parts[i], new_axis ? -1 : axis)) {
      char first[96], other[96];
      return fulgur__fail(
          FULGUR_INVALID_DIMS,
          "%s: elements 0 and %" PRId64 " have dims %s and %s, which do not "
          "fit together",
          node, i, fulgur__dims_text(&parts[0], first, sizeof first),
          fulgur__dims_text(&parts[i], other, sizeof other));
    }
    int64_t size = new_axis ? 1 : parts[i].dims[axis];
    if (__builtin_add_overflow(total, size, &total))
      return fulgur__fail(FULGUR_INVALID_DIMS, "%s: the result is too large",
                          node);
  }
  int64_t dims[FULGUR_MAX_RANK];
  for (int32_t i = 0, k = 0; i < rank; ++i)
    dims[i] = i == axis ? (k += !new_axis, total) : parts[0].dims[k++];
  fulgur_value result;
  status = fulgur__new_tensor(frame, &result, parts[0].dtype, rank, dims);
  if (status != FULGUR_OK)
    return status;
  size_t inner = fulgur_dtype_bytes((fulgur_dtype)result.dtype) *
                 (size_t)fulgur__product(dims, axis + 1, rank);
  int64_t outer = fulgur__product(dims, 0, axis);
  char *place = result.data;
  for (int64_t i = 0; i < count; ++i) {
    size_t bytes = inner * (size_t)(new_axis ? 1 : parts[i].dims[axis]);
    if (bytes)
      for (int64_t k = 0; k < outer; ++k)
        memcpy(place + (size_t)k * inner * (size_t)total,
               (const char *)parts[i].data + (size_t)k * bytes, bytes);
    place += bytes;
  }
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}

int32_t fulgur__concat(fulgur_frame *frame, int32_t to, int32_t sequence,
                       int32_t axis, int32_t new_axis, int32_t dtype,
                       const char *node) {
  const fulgur_value *value =
      fulgur__operand(frame, sequence, FULGUR_SEQUENCE, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  if (value->dims[0] == 0)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: a sequence without elements cannot be made one "
                        "tensor of %s",
                        node, fulgur_dtype_name((fulgur_dtype)dtype));
  return join(frame, to, value, axis, new_axis, node);
}

int32_t fulgur__stack(fulgur_frame *frame, int32_t to, int32_t sequence,
                      int32_t axis, int32_t dtype, int32_t rank,
                      const int64_t *dims, const char *node) {
  const fulgur_value *value = &frame->slots[sequence];
  if (value->dtype == FULGUR_SEQUENCE && value->dims[0] > 0)
    return join(frame, to, value, axis, 1, node);
  fulgur_status status = fulgur__axis(&axis, rank + 1, node);
  if (status != FULGUR_OK)
    return status;
  if (rank >= FULGUR_MAX_RANK)
    return fulgur__fail(FULGUR_INVALID_RANK,
                        "%s: the result would have rank %d, but at most %d is "
                        "possible",
                        node, (int)rank + 1, FULGUR_MAX_RANK);
  int64_t all[FULGUR_MAX_RANK] = {0};
  for (int32_t i = 0, k = 0; i <= rank; ++i)
    if (i != axis) {
      all[i] = dims[k] < 0 ? 0 : dims[k];
      ++k;
    }
  fulgur_value result;
  status = fulgur__new_tensor(frame, &result, dtype, rank + 1, all);
  if (status == FULGUR_OK)
    fulgur__put(frame, to, result);
  return status;
}

/// How many pieces SplitToSequence makes, and that they cover the axis.
static fulgur_status count_pieces(const fulgur_value *split, int64_t size,
                                  int64_t *pieces, const char *node) {
  if (!split) {
    *pieces = size;
    return FULGUR_OK;
  }
  if (!fulgur__is_integer(split->dtype) || split->rank > 1)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: 'split' must be a scalar or vector of integers",
                        node);
  if (split->rank == 0) {
    int64_t each = fulgur__integer_at(split, 0);
    if (each <= 0)
      return fulgur__fail(FULGUR_INVALID_VALUE,
                          "%s: 'split' is %" PRId64 ", but must be positive",
                          node, each);
    *pieces = size / each + (size % each != 0);
    return FULGUR_OK;
  }
  int64_t sum = 0;
  *pieces = split->dims[0];
  for (int64_t i = 0; i < *pieces; ++i) {
    int64_t each = fulgur__integer_at(split, i);
    if (each < 0 || __builtin_add_overflow(sum, each, &sum))
      return fulgur__fail(FULGUR_INVALID_VALUE,
                          "%s: element %" PRId64 " of 'split' is %" PRId64,
                          node, i, each);
  }
  if (sum != size)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: the elements of 'split' sum up to %" PRId64
                        ", but the axis has %" PRId64,
                        node, sum, size);
  return FULGUR_OK;
}

int32_t fulgur__split(fulgur_frame *frame, int32_t to, int32_t from,
                      int32_t split, int32_t axis, int32_t keepdims,
                      const char *node) {
  const fulgur_value *value = fulgur__operand(frame, from, 0, node);
  const fulgur_value *sizes =
      split < 0 ? NULL : fulgur__operand(frame, split, 0, node);
  if (!value || (split >= 0 && !sizes))
    return FULGUR_INVALID_VALUE;
  int64_t pieces = 0;
  fulgur_status status = fulgur__axis(&axis, value->rank, node);
  if (status == FULGUR_OK)
    status = count_pieces(sizes, value->dims[axis], &pieces, node);
  fulgur_value sequence = {0};
  if (status == FULGUR_OK)
    status =
        fulgur__new_values(frame, &sequence, FULGUR_SEQUENCE, pieces, pieces);
  int64_t start = 0;
  for (int64_t i = 0; i < pieces && status == FULGUR_OK; ++i) {
    fulgur_value *piece = &fulgur__values(&sequence)[i];
    int64_t left = value->dims[axis] - start;
    int64_t size =
        sizes ? fulgur__integer_at(sizes, sizes->rank == 0 ? 0 : i) : 1;
    size = size < left ? size : left;
    status = cut(frame, value, axis, start, size, piece);
    if (status == FULGUR_OK && !sizes && !keepdims)
      remove_axis(piece, axis);
    start += size;
  }
  if (status == FULGUR_OK)
    fulgur__put(frame, to, sequence);
  else
    fulgur__drop(frame, &sequence);
  return status;
}
