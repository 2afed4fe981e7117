// The values of a program while it runs: tensors, sequences and optionals with
// shared memory, and the frame that has them in its slots.
#ifndef FULGUR_VALUE_H
#define FULGUR_VALUE_H

#include "Dense.h"
#include "Frame.h"
#include "Integer.h"
#include "Status.h"

/// Memory that several values share. It stands apart from what it counts, so
/// that the memory itself can go to the caller as an output.
typedef struct fulgur_buffer {
  void *data;
  size_t bytes;   ///< allocated at data
  int64_t users;  ///< values that point here
  int64_t values; ///< how many fulgur_value are in it
  struct fulgur_buffer *next_free;
} fulgur_buffer;

/// What a slot, or one place of a sequence, holds. All zeros: nothing.
typedef struct fulgur_value {
  int32_t dtype; ///< fulgur_dtype, 0 for nothing
  int32_t rank;
  int64_t dims[FULGUR_MAX_RANK];
  void *data;            ///< elements; of containers dims[0] fulgur_values
  fulgur_buffer *buffer; ///< where data lies; NULL: the caller's or no memory
} fulgur_value;

/// A piece of the text that strings made by this run point into. It lives as
/// long as the frame: generated code copies strings without counting them.
typedef struct fulgur_text {
  struct fulgur_text *next;
  size_t used, bytes; ///< of what follows this header
} fulgur_text;

struct fulgur_frame {
  const fulgur_model *model;
  const fulgur_program *program; ///< the model's, or one of its variants'
  const fulgur_context *context;
  fulgur_allocator *allocator;
  size_t bytes; ///< of this struct and the arrays below, in one allocation
  int64_t *symbols;
  fulgur_value *slots;
  int64_t *dims;            ///< of the outputs of the part that has most
  fulgur_value *results;    ///< the outputs of a part that runs
  void **inputs, **outputs; ///< likewise
  char *arena;              ///< the context's or ours
  size_t arena_bytes;
  int own_arena;
  fulgur_buffer *free_buffers;
  fulgur_text *text;
  char name[128]; ///< "model 'x'", where a message has no node to name
};

/// libc's aligned_alloc() and free().
fulgur_allocator *fulgur__default_allocator(void);

/// Memory aligned to FULGUR_ALIGNMENT; NULL, with the message set, when there
/// is none. `bytes` 0 is taken for 1.
void *fulgur__allocate(fulgur_allocator *allocator, size_t bytes);
void fulgur__free(fulgur_allocator *allocator, void *pointer, size_t bytes);

/// Gives up one use of the value's memory and makes it nothing.
void fulgur__drop(fulgur_frame *frame, fulgur_value *value);

/// A second user of the same memory.
fulgur_value fulgur__share(const fulgur_value *value);

/// Puts `value`, whose use of memory goes over, into a slot, and drops what was
/// there.
void fulgur__put(fulgur_frame *frame, int32_t slot, fulgur_value value);

/// A new tensor with elements that are not set.
fulgur_status fulgur__new_tensor(fulgur_frame *frame, fulgur_value *value,
                                 int32_t dtype, int32_t rank,
                                 const int64_t *dims);

/// A new sequence, optional or map of `count` nothings with room for more up to
/// `capacity`.
fulgur_status fulgur__new_values(fulgur_frame *frame, fulgur_value *value,
                                 int32_t dtype, int64_t count,
                                 int64_t capacity);

/// `bytes` of text for strings; NULL, with the message set, when there is no
/// memory.
char *fulgur__new_text(fulgur_frame *frame, size_t bytes);

/// Is it a sequence, an optional or a map?
static inline int fulgur__is_container(const fulgur_value *value) {
  return value->dtype >= FULGUR_SEQUENCE && value->dtype <= FULGUR_MAP;
}

/// The places of a sequence, optional or map.
static inline fulgur_value *fulgur__values(const fulgur_value *value) {
  return value->data;
}

static inline int64_t fulgur__elements(const fulgur_value *value) {
  return fulgur__product(value->dims, 0, value->rank);
}

/// An axis that may count from the end, made to count from 0; an error that
/// names the node when it is outside.
fulgur_status fulgur__axis(int32_t *axis, int32_t rank, const char *node);

/// The value of a slot if it is a tensor, sequence, ... (`wanted`: a dtype, or
/// 0 for any tensor); NULL, with the message set, when it is not.
const fulgur_value *fulgur__operand(fulgur_frame *frame, int32_t slot,
                                    int32_t wanted, const char *node);

/// Integers and truth values.
int fulgur__is_integer(int32_t dtype);

/// Element `i` of a tensor of integers or truth values.
static inline int64_t fulgur__integer_at(const fulgur_value *value, int64_t i) {
  return fulgur__integer((fulgur_dtype)value->dtype, value->data, i);
}

/// "[2, 3]" for messages, cut to the size of `text`.
const char *fulgur__dims_text(const fulgur_value *value, char *text,
                              size_t bytes);

#endif // FULGUR_VALUE_H
