// Shared memory of values: who uses it is counted, and the last one frees it.
#include "Value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *libc_allocate(fulgur_allocator *self, size_t bytes,
                           size_t alignment) {
  (void)self;
  if (bytes > SIZE_MAX - alignment)
    return NULL;
  return aligned_alloc(alignment,
                       (bytes + alignment - 1) / alignment * alignment);
}

static void libc_release(fulgur_allocator *self, void *pointer, size_t bytes) {
  (void)self;
  (void)bytes;
  free(pointer);
}

fulgur_allocator *fulgur__default_allocator(void) {
  static fulgur_allocator libc = {libc_allocate, libc_release};
  return &libc;
}

void *fulgur__allocate(fulgur_allocator *allocator, size_t bytes) {
  void *memory =
      allocator->allocate(allocator, bytes ? bytes : 1, FULGUR_ALIGNMENT);
  if (!memory)
    fulgur__fail(FULGUR_OUT_OF_MEMORY, "no memory for %zu bytes", bytes);
  return memory;
}

void fulgur__free(fulgur_allocator *allocator, void *pointer, size_t bytes) {
  if (pointer)
    allocator->release(allocator, pointer, bytes ? bytes : 1);
}

static fulgur_buffer *new_buffer(fulgur_frame *frame, size_t bytes) {
  fulgur_buffer *buffer = frame->free_buffers;
  if (buffer)
    frame->free_buffers = buffer->next_free;
  else
    buffer = fulgur__allocate(frame->allocator, sizeof *buffer);
  if (!buffer)
    return NULL;
  *buffer = (fulgur_buffer){.bytes = bytes, .users = 1};
  buffer->data = fulgur__allocate(frame->allocator, bytes);
  if (buffer->data)
    return buffer;
  buffer->next_free = frame->free_buffers;
  frame->free_buffers = buffer;
  return NULL;
}

void fulgur__drop(fulgur_frame *frame, fulgur_value *value) {
  fulgur_buffer *buffer = value->buffer;
  fulgur_value *inside = buffer ? buffer->data : NULL;
  *value = (fulgur_value){0};
  if (!buffer || --buffer->users > 0)
    return;
  // Sequences are no deeper than an optional sequence of tensors.
  for (int64_t i = 0; i < buffer->values; ++i)
    fulgur__drop(frame, &inside[i]);
  fulgur__free(frame->allocator, buffer->data, buffer->bytes);
  buffer->next_free = frame->free_buffers;
  frame->free_buffers = buffer;
}

fulgur_value fulgur__share(const fulgur_value *value) {
  if (value->buffer)
    ++value->buffer->users;
  return *value;
}

void fulgur__put(fulgur_frame *frame, int32_t slot, fulgur_value value) {
  fulgur__drop(frame, &frame->slots[slot]);
  frame->slots[slot] = value;
}

fulgur_status fulgur__new_tensor(fulgur_frame *frame, fulgur_value *value,
                                 int32_t dtype, int32_t rank,
                                 const int64_t *dims) {
  *value = (fulgur_value){0};
  int64_t bytes = fulgur__dense_bytes(dtype, rank, dims);
  if (bytes < 0)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "the product of a tensor's dims is too large");
  fulgur_buffer *buffer = new_buffer(frame, (size_t)bytes);
  if (!buffer)
    return FULGUR_OUT_OF_MEMORY;
  value->dtype = dtype;
  value->rank = rank;
  for (int32_t i = 0; i < rank; ++i)
    value->dims[i] = dims[i];
  value->data = buffer->data;
  value->buffer = buffer;
  return FULGUR_OK;
}

fulgur_status fulgur__new_values(fulgur_frame *frame, fulgur_value *value,
                                 int32_t dtype, int64_t count,
                                 int64_t capacity) {
  *value = (fulgur_value){0};
  int64_t bytes;
  if (__builtin_mul_overflow(capacity, (int64_t)sizeof(fulgur_value), &bytes))
    return fulgur__fail(FULGUR_INVALID_DIMS, "a sequence is too long");
  value->dtype = dtype;
  value->rank = 1;
  value->dims[0] = count;
  if (capacity == 0)
    return FULGUR_OK;
  fulgur_buffer *buffer = new_buffer(frame, (size_t)bytes);
  if (!buffer) {
    *value = (fulgur_value){0};
    return FULGUR_OUT_OF_MEMORY;
  }
  memset(buffer->data, 0, (size_t)count * sizeof(fulgur_value));
  buffer->values = count;
  value->data = buffer->data;
  value->buffer = buffer;
  return FULGUR_OK;
}

char *fulgur__new_text(fulgur_frame *frame, size_t bytes) {
  fulgur_text *text = frame->text;
  if (!text || text->bytes - text->used < bytes) {
    size_t usual = 4096 - sizeof *text;
    if (bytes > PTRDIFF_MAX) {
      fulgur__fail(FULGUR_OUT_OF_MEMORY, "no memory for %zu bytes", bytes);
      return NULL;
    }
    size_t room = bytes > usual ? bytes : usual;
    text = fulgur__allocate(frame->allocator, sizeof *text + room);
    if (!text)
      return NULL;
    *text = (fulgur_text){frame->text, 0, room};
    frame->text = text;
  }
  char *result = (char *)(text + 1) + text->used;
  text->used += bytes;
  return result;
}

fulgur_status fulgur__axis(int32_t *axis, int32_t rank, const char *node) {
  if (*axis < -rank || *axis >= rank)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: axis %d is outside a value of rank %d", node,
                        (int)*axis, (int)rank);
  if (*axis < 0)
    *axis += rank;
  return FULGUR_OK;
}

const fulgur_value *fulgur__operand(fulgur_frame *frame, int32_t slot,
                                    int32_t wanted, const char *node) {
  const fulgur_value *value = slot < 0 ? NULL : &frame->slots[slot];
  if (!value || value->dtype == 0) {
    fulgur__fail(FULGUR_INVALID_VALUE, "%s: an operand has no value", node);
    return NULL;
  }
  if (wanted ? value->dtype != wanted : fulgur__is_container(value)) {
    fulgur__fail(FULGUR_INVALID_VALUE, "%s: an operand is a %s, not a %s", node,
                 fulgur_dtype_name((fulgur_dtype)value->dtype),
                 wanted ? fulgur_dtype_name((fulgur_dtype)wanted) : "tensor");
    return NULL;
  }
  return value;
}

int fulgur__is_integer(int32_t dtype) {
  switch (dtype) {
  case FULGUR_UINT8:
  case FULGUR_INT8:
  case FULGUR_UINT16:
  case FULGUR_INT16:
  case FULGUR_INT32:
  case FULGUR_INT64:
  case FULGUR_BOOL:
  case FULGUR_UINT32:
  case FULGUR_UINT64:
    return 1;
  default:
    return 0;
  }
}

const char *fulgur__dims_text(const fulgur_value *value, char *text,
                              size_t bytes) {
  size_t used = (size_t)snprintf(text, bytes, "[");
  for (int32_t i = 0; i < value->rank && used < bytes; ++i)
    used += (size_t)snprintf(text + used, bytes - used, "%s%" PRId64,
                             i ? ", " : "", value->dims[i]);
  if (used < bytes)
    snprintf(text + used, bytes - used, "]");
  return text;
}
