// Slots, symbols and parts of a program that runs.
#include "Program.h"
#include "Value.h"

#include <inttypes.h>
#include <string.h>

/// The message with the number that a part returned, with the model's name.
static fulgur_status part_failed(const fulgur_frame *frame,
                                 const fulgur_part *part, fulgur_status status,
                                 int32_t number) {
  return fulgur__fail(status, "model '%s': %s", frame->model->name,
                      number > 0 && number <= part->n_messages
                          ? part->messages[number - 1]
                          : "no message is known for the failure");
}

/// Makes the arena at least as large as asked. Ours only grows.
static fulgur_status need_arena(fulgur_frame *frame, int64_t bytes) {
  if (bytes < 0)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "model '%s': the memory that these dims need is too "
                        "large",
                        frame->model->name);
  if (frame->arena_bytes >= (uint64_t)bytes)
    return FULGUR_OK;
  if (frame->own_arena)
    fulgur__free(frame->allocator, frame->arena, frame->arena_bytes);
  frame->arena_bytes = 0;
  frame->own_arena = 1;
  frame->arena = fulgur__allocate(frame->allocator, (size_t)bytes);
  if (!frame->arena)
    return FULGUR_OUT_OF_MEMORY;
  frame->arena_bytes = (size_t)bytes;
  return FULGUR_OK;
}

static int is_operand(const fulgur_part *part, int32_t slot) {
  for (int32_t i = 0; i < part->n_inputs; ++i)
    if (part->inputs[i] == slot)
      return 1;
  return 0;
}

/// Makes room for a part's output: in the memory that its slot has, when that
/// is nobody else's and large enough, or in new memory. The slots of operands
/// keep their values until the part is done.
static fulgur_status make_room(fulgur_frame *frame, const fulgur_part *part,
                               int32_t output, const int64_t *dims) {
  const fulgur_port *port = &part->ports[output];
  int32_t slot = part->outputs[output];
  if (slot < 0 || is_operand(part, slot))
    return fulgur__new_tensor(frame, &frame->results[output], port->dtype,
                              port->rank, dims);
  fulgur_value *value = &frame->slots[slot], *result = &frame->results[output];
  fulgur_buffer *buffer = value->buffer;
  int64_t bytes = fulgur__dense_bytes(port->dtype, port->rank, dims);
  if (!buffer || buffer->users > 1 || buffer->values > 0 || bytes < 0 ||
      buffer->bytes < (uint64_t)bytes) {
    fulgur__drop(frame, value); // before more is asked for
    return fulgur__new_tensor(frame, result, port->dtype, port->rank, dims);
  }
  *value = (fulgur_value){0};
  *result = (fulgur_value){.dtype = port->dtype,
                           .rank = port->rank,
                           .data = buffer->data,
                           .buffer = buffer};
  memcpy(result->dims, dims, (size_t)port->rank * sizeof *dims);
  return FULGUR_OK;
}

static fulgur_status run_part(fulgur_frame *frame, const fulgur_part *part) {
  const fulgur_context *context = frame->context;
  int64_t arena_bytes = 0;
  int32_t number = part->plan(frame->symbols, &arena_bytes, frame->dims);
  if (number != 0)
    return part_failed(frame, part, FULGUR_INVALID_DIMS, number);
  fulgur_status status = need_arena(frame, arena_bytes);
  int64_t *dims = frame->dims;
  for (int32_t i = 0; i < part->n_outputs && status == FULGUR_OK; ++i) {
    const fulgur_port *port = &part->ports[i];
    for (int32_t k = 0; k < port->rank; ++k)
      if (dims[k] < 0)
        return fulgur__fail(FULGUR_INVALID_DIMS,
                            "model '%s': dim %d of '%s' would be %" PRId64,
                            frame->model->name, (int)k,
                            port->name ? port->name : "a value", dims[k]);
    status = make_room(frame, part, i, dims);
    frame->outputs[i] = frame->results[i].data;
    dims += port->rank;
  }
  if (status != FULGUR_OK)
    return status;
  for (int32_t i = 0; i < part->n_inputs; ++i)
    frame->inputs[i] =
        part->inputs[i] < 0 ? NULL : frame->slots[part->inputs[i]].data;
  const fulgur_call arguments = {
      .symbols = frame->symbols,
      .inputs = frame->inputs,
      .outputs = frame->outputs,
      .arena = frame->arena,
      .weights =
          context->weights ? context->weights : frame->model->embedded_weights,
      .parallel_for = context->executor ? context->executor->parallel_for
                                        : fulgur__run_serially,
      .executor = context->executor,
      .output_dims = frame->dims,
  };
  number = part->run(&arguments);
  if (number != 0)
    return part_failed(frame, part, FULGUR_INVALID_VALUE, number);
  dims = frame->dims; // now the actual ones, where they depend on data
  for (int32_t i = 0; i < part->n_outputs; ++i) {
    int32_t rank = part->ports[i].rank;
    memcpy(frame->results[i].dims, dims, (size_t)rank * sizeof *dims);
    dims += rank;
  }
  return FULGUR_OK;
}

int32_t fulgur__part(fulgur_frame *frame, int32_t part) {
  const fulgur_part *chosen = &frame->program->parts[part];
  fulgur_status status = run_part(frame, chosen);
  for (int32_t i = 0; i < chosen->n_outputs; ++i) {
    if (status == FULGUR_OK && chosen->outputs[i] >= 0)
      fulgur__put(frame, chosen->outputs[i], frame->results[i]);
    else
      fulgur__drop(frame, &frame->results[i]);
    frame->results[i] = (fulgur_value){0};
  }
  return (int32_t)status;
}

static fulgur_status define(fulgur_frame *frame, int32_t symbol, int64_t value,
                            const char *node) {
  const fulgur_symbol *known = &frame->model->symbols[symbol];
  if (value >= known->min && value <= known->max) {
    frame->symbols[symbol] = value;
    return FULGUR_OK;
  }
  if (known->max == INT64_MAX)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: '%s' is %" PRId64 ", but must be at least "
                        "%" PRId64,
                        node, known->name, value, known->min);
  return fulgur__fail(FULGUR_INVALID_VALUE,
                      "%s: '%s' is %" PRId64 ", but must be from %" PRId64
                      " to %" PRId64,
                      node, known->name, value, known->min, known->max);
}

int32_t fulgur__define_dim(fulgur_frame *frame, int32_t symbol, int32_t slot,
                           int32_t axis) {
  int64_t size;
  int32_t status = fulgur__extent(frame, slot, axis, &size, frame->name);
  return status ? status : (int32_t)define(frame, symbol, size, frame->name);
}

int32_t fulgur__define_value(fulgur_frame *frame, int32_t symbol, int32_t slot,
                             int64_t element, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, slot, 0, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  if (!fulgur__is_integer(value->dtype))
    return fulgur__fail(FULGUR_INVALID_DTYPE,
                        "%s: an operand of type %s gives no integers", node,
                        fulgur_dtype_name((fulgur_dtype)value->dtype));
  int64_t elements = fulgur__elements(value);
  if (element < 0 || element >= elements)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: an operand has %" PRId64
                        " elements, but element %" PRId64 " is needed",
                        node, elements, element);
  return define(frame, symbol, fulgur__integer_at(value, element), node);
}

int32_t fulgur__assign(fulgur_frame *frame, int32_t to, int32_t from) {
  if (from < 0)
    return fulgur__clear(frame, to);
  fulgur__put(frame, to, fulgur__share(&frame->slots[from]));
  return FULGUR_OK;
}

int32_t fulgur__clear(fulgur_frame *frame, int32_t slot) {
  fulgur__drop(frame, &frame->slots[slot]);
  return FULGUR_OK;
}

int32_t fulgur__read(fulgur_frame *frame, int32_t slot, int64_t *out,
                     const char *node) {
  const fulgur_value *value = fulgur__operand(frame, slot, 0, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  int64_t elements = fulgur__elements(value);
  if (!fulgur__is_integer(value->dtype) || elements != 1)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: one integer or truth value is needed, but there "
                        "are %" PRId64 " elements of type %s",
                        node, elements,
                        fulgur_dtype_name((fulgur_dtype)value->dtype));
  *out = fulgur__integer_at(value, 0);
  return FULGUR_OK;
}

int32_t fulgur__write(fulgur_frame *frame, int32_t slot, int32_t dtype,
                      int32_t rank, int64_t value) {
  static const int64_t ones[FULGUR_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  fulgur_value *old = &frame->slots[slot], fresh;
  if (old->buffer && old->buffer->users == 1 && old->dtype == dtype &&
      old->rank == rank && fulgur__elements(old) == 1) {
    fresh = *old;
    *old = (fulgur_value){0};
  } else {
    fulgur_status status = fulgur__new_tensor(frame, &fresh, dtype, rank, ones);
    if (status != FULGUR_OK)
      return status;
  }
  if (dtype == FULGUR_FLOAT32)
    *(float *)fresh.data = (float)value;
  else if (dtype == FULGUR_FLOAT64)
    *(double *)fresh.data = (double)value;
  else if (dtype == FULGUR_BOOL)
    *(uint8_t *)fresh.data = value != 0;
  else // little-endian: the low bytes come first
    memcpy(fresh.data, &value, fulgur_dtype_bytes((fulgur_dtype)dtype));
  fulgur__put(frame, slot, fresh);
  return FULGUR_OK;
}

int32_t fulgur__check(fulgur_frame *frame, int32_t slot, int32_t dtype,
                      int32_t rank, const char *node) {
  const fulgur_value *value = &frame->slots[slot];
  if (value->dtype == 0)
    return fulgur__fail(FULGUR_INVALID_VALUE, "%s: an operand has no value",
                        node);
  if (value->dtype != dtype)
    return fulgur__fail(FULGUR_INVALID_DTYPE,
                        "%s: a value has type %s, but must have %s", node,
                        fulgur_dtype_name((fulgur_dtype)value->dtype),
                        fulgur_dtype_name((fulgur_dtype)dtype));
  if (rank >= 0 && value->rank != rank)
    return fulgur__fail(FULGUR_INVALID_RANK,
                        "%s: a value has rank %d, but must have %d", node,
                        (int)value->rank, (int)rank);
  return FULGUR_OK;
}

int32_t fulgur__extent(fulgur_frame *frame, int32_t slot, int32_t axis,
                       int64_t *out, const char *node) {
  const fulgur_value *value = fulgur__operand(frame, slot, 0, node);
  if (!value)
    return FULGUR_INVALID_VALUE;
  fulgur_status status = fulgur__axis(&axis, value->rank, node);
  if (status == FULGUR_OK)
    *out = value->dims[axis];
  return status;
}
