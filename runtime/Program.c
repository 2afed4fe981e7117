// A program's run from outside: inputs become values in slots, the driver runs,
// and what is in the output slots goes to the caller.
#include "Program.h"
#include "Value.h"

#include <stdio.h>
#include <string.h>

static fulgur_allocator *allocator_of(const fulgur_context *context) {
  return context && context->allocator ? context->allocator
                                       : fulgur__default_allocator();
}

/// Moves `*at` up to where an array of `bytes` fits behind what is there, and
/// returns that place's offset.
static size_t reserve(size_t *at, size_t count, size_t bytes) {
  size_t start = *at;
  *at += (count * bytes + FULGUR_ALIGNMENT - 1) / FULGUR_ALIGNMENT *
         FULGUR_ALIGNMENT;
  return start;
}

static fulgur_frame *create_frame(const fulgur_model *model,
                                  const fulgur_program *program,
                                  const fulgur_context *context) {
  size_t inputs = 0, outputs = 0, dims = 0;
  for (int32_t i = 0; i < program->n_parts; ++i) {
    const fulgur_part *part = &program->parts[i];
    size_t sum = 0;
    for (int32_t k = 0; k < part->n_outputs; ++k)
      sum += (size_t)part->ports[k].rank;
    dims = sum > dims ? sum : dims;
    inputs = (size_t)part->n_inputs > inputs ? (size_t)part->n_inputs : inputs;
    outputs =
        (size_t)part->n_outputs > outputs ? (size_t)part->n_outputs : outputs;
  }
  size_t bytes = 0;
  reserve(&bytes, 1, sizeof(fulgur_frame));
  size_t slots_at =
      reserve(&bytes, (size_t)program->n_slots, sizeof(fulgur_value));
  size_t results_at = reserve(&bytes, outputs, sizeof(fulgur_value));
  size_t symbols_at =
      reserve(&bytes, (size_t)model->n_symbols, sizeof(int64_t));
  size_t dims_at = reserve(&bytes, dims, sizeof(int64_t));
  size_t inputs_at = reserve(&bytes, inputs, sizeof(void *));
  size_t outputs_at = reserve(&bytes, outputs, sizeof(void *));
  fulgur_allocator *allocator = allocator_of(context);
  char *memory = fulgur__allocate(allocator, bytes);
  if (!memory)
    return NULL;
  memset(memory, 0, bytes);
  fulgur_frame *frame = (fulgur_frame *)memory;
  frame->model = model;
  frame->program = program;
  frame->context = context;
  frame->allocator = allocator;
  frame->bytes = bytes;
  frame->slots = (fulgur_value *)(memory + slots_at);
  frame->results = (fulgur_value *)(memory + results_at);
  frame->symbols = (int64_t *)(memory + symbols_at);
  frame->dims = (int64_t *)(memory + dims_at);
  frame->inputs = (void **)(memory + inputs_at);
  frame->outputs = (void **)(memory + outputs_at);
  frame->arena = context->arena;
  frame->arena_bytes = context->arena_bytes;
  snprintf(frame->name, sizeof frame->name, "model '%s'", model->name);
  return frame;
}

static void destroy_frame(fulgur_frame *frame) {
  fulgur_allocator *allocator = frame->allocator;
  for (int32_t i = 0; i < frame->program->n_slots; ++i)
    fulgur__drop(frame, &frame->slots[i]);
  while (frame->free_buffers) {
    fulgur_buffer *buffer = frame->free_buffers;
    frame->free_buffers = buffer->next_free;
    fulgur__free(allocator, buffer, sizeof *buffer);
  }
  while (frame->text) {
    fulgur_text *text = frame->text;
    frame->text = text->next;
    fulgur__free(allocator, text, sizeof *text + text->bytes);
  }
  if (frame->own_arena)
    fulgur__free(allocator, frame->arena, frame->arena_bytes);
  fulgur__free(allocator, frame, frame->bytes);
}

/// The caller's tensor as a value; its elements stay where they are.
static fulgur_status import_tensor(fulgur_frame *frame, fulgur_value *value,
                                   const fulgur_tensor *tensor) {
  if (tensor->dtype == FULGUR_SEQUENCE || tensor->dtype == FULGUR_OPTIONAL) {
    const fulgur_tensor *elements = tensor->data;
    fulgur_status status = fulgur__new_values(frame, value, tensor->dtype,
                                              tensor->dims[0], tensor->dims[0]);
    for (int64_t i = 0; i < tensor->dims[0] && status == FULGUR_OK; ++i)
      status = import_tensor(frame, &fulgur__values(value)[i], &elements[i]);
    if (status != FULGUR_OK)
      fulgur__drop(frame, value);
    return status;
  }
  *value = (fulgur_value){
      .dtype = tensor->dtype, .rank = tensor->rank, .data = tensor->data};
  memcpy(value->dims, tensor->dims, sizeof value->dims);
  return FULGUR_OK;
}

static void describe(const fulgur_value *value, fulgur_tensor *tensor) {
  tensor->dtype = (fulgur_dtype)value->dtype;
  tensor->rank = value->rank;
  memcpy(tensor->dims, value->dims, sizeof tensor->dims);
}

/// A string tensor's elements and, behind them, their text, in one piece.
static fulgur_status export_strings(fulgur_frame *frame,
                                    const fulgur_value *value,
                                    fulgur_tensor *tensor) {
  const fulgur_string *from = value->data;
  int64_t count = fulgur__elements(value);
  size_t bytes = (size_t)count * sizeof *from;
  for (int64_t i = 0; i < count; ++i)
    if (__builtin_add_overflow(bytes, from[i].bytes, &bytes))
      return fulgur__fail(FULGUR_OUT_OF_MEMORY, "the text of '%s' is too long",
                          frame->name);
  tensor->data = fulgur__allocate(frame->allocator, bytes);
  if (!tensor->data)
    return FULGUR_OUT_OF_MEMORY;
  tensor->bytes = bytes;
  fulgur_string *to = tensor->data;
  char *text = (char *)(to + count);
  for (int64_t i = 0; i < count; ++i) {
    to[i].data = text;
    to[i].bytes = from[i].bytes;
    if (from[i].bytes)
      memcpy(text, from[i].data, from[i].bytes);
    text += from[i].bytes;
  }
  return FULGUR_OK;
}

/// A copy of a value in memory that the caller will own. Memory that nobody
/// else uses, `alone` up to the slot, is not copied but handed over.
static fulgur_status export_value(fulgur_frame *frame, fulgur_value *value,
                                  int alone, fulgur_tensor *tensor) {
  describe(value, tensor);
  tensor->data = NULL;
  tensor->bytes = 0;
  fulgur_buffer *buffer = value->buffer;
  alone = alone && buffer && buffer->users == 1;
  if (fulgur__is_container(value)) {
    int64_t count = value->dims[0];
    if (count == 0)
      return FULGUR_OK;
    size_t bytes = (size_t)count * sizeof(fulgur_tensor);
    fulgur_tensor *elements = fulgur__allocate(frame->allocator, bytes);
    if (!elements)
      return FULGUR_OUT_OF_MEMORY;
    memset(elements, 0, bytes);
    tensor->data = elements;
    tensor->bytes = bytes;
    fulgur_status status = FULGUR_OK;
    for (int64_t i = 0; i < count && status == FULGUR_OK; ++i)
      status =
          export_value(frame, &fulgur__values(value)[i], alone, &elements[i]);
    return status;
  }
  int64_t bytes = fulgur__dense_bytes(value->dtype, value->rank, value->dims);
  if (bytes == 0)
    return FULGUR_OK;
  if (value->dtype == FULGUR_STRING)
    return export_strings(frame, value, tensor);
  if (alone && value->data == buffer->data) {
    tensor->data = buffer->data;
    tensor->bytes = buffer->bytes;
    buffer->next_free = frame->free_buffers;
    frame->free_buffers = buffer;
    *value = (fulgur_value){0};
    return FULGUR_OK;
  }
  tensor->data = fulgur__allocate(frame->allocator, (size_t)bytes);
  if (!tensor->data)
    return FULGUR_OUT_OF_MEMORY;
  tensor->bytes = (size_t)bytes;
  memcpy(tensor->data, value->data, (size_t)bytes);
  return FULGUR_OK;
}

/// What an output's slot holds, as the port says it: an optional may be there
/// as what is in it, or as nothing.
static fulgur_status settle_output(fulgur_frame *frame, int32_t output) {
  const fulgur_port *port = &frame->model->outputs[output];
  int32_t slot = frame->program->output_slots[output];
  const fulgur_value *value = &frame->slots[slot];
  if (port->dtype == FULGUR_OPTIONAL && value->dtype != FULGUR_OPTIONAL) {
    fulgur_value wrapped;
    int64_t count = value->dtype != 0;
    fulgur_status status =
        fulgur__new_values(frame, &wrapped, FULGUR_OPTIONAL, count, count);
    if (status != FULGUR_OK)
      return status;
    if (count)
      *fulgur__values(&wrapped) = fulgur__share(value);
    fulgur__put(frame, slot, wrapped);
    return FULGUR_OK;
  }
  if (value->dtype == 0)
    return fulgur__fail(FULGUR_INVALID_VALUE, "output '%s' has no value",
                        port->name);
  if (value->dtype != (int32_t)port->dtype)
    return fulgur__fail(FULGUR_INVALID_DTYPE,
                        "output '%s': its type is %s, but the model has %s",
                        port->name,
                        fulgur_dtype_name((fulgur_dtype)value->dtype),
                        fulgur_dtype_name(port->dtype));
  return FULGUR_OK;
}

/// Does the value fit the caller's buffer?
static fulgur_status check_room(const fulgur_port *port,
                                const fulgur_value *value,
                                const fulgur_tensor *tensor) {
  int64_t bytes = fulgur__dense_bytes(value->dtype, value->rank, value->dims);
  if (tensor->bytes < (uint64_t)bytes)
    return fulgur__fail(FULGUR_BUFFER_TOO_SMALL,
                        "output '%s': its buffer has %zu bytes, but its dims "
                        "need %zu",
                        port->name, tensor->bytes, (size_t)bytes);
  return FULGUR_OK;
}

static int last_use(const fulgur_program *program, int32_t output,
                    int32_t n_outputs) {
  for (int32_t i = output + 1; i < n_outputs; ++i)
    if (program->output_slots[i] == program->output_slots[output])
      return 0;
  return 1;
}

static fulgur_status give_outputs(fulgur_frame *frame, fulgur_tensor *outputs) {
  const fulgur_model *model = frame->model;
  const int32_t *slots = frame->program->output_slots;
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    fulgur_status status = settle_output(frame, i);
    if (status != FULGUR_OK)
      return status;
  }
  fulgur_status status = FULGUR_OK;
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    const fulgur_value *value = &frame->slots[slots[i]];
    describe(value, &outputs[i]);
    if (status == FULGUR_OK && outputs[i].data)
      status = check_room(&model->outputs[i], value, &outputs[i]);
  }
  if (status != FULGUR_OK)
    return status;
  uint8_t ours[FULGUR_MAX_PORTS] = {0};
  for (int32_t i = 0; i < model->n_outputs && status == FULGUR_OK; ++i) {
    fulgur_value *value = &frame->slots[slots[i]];
    if (!outputs[i].data) {
      ours[i] = 1;
      status = export_value(frame, value,
                            last_use(frame->program, i, model->n_outputs),
                            &outputs[i]);
      continue;
    }
    int64_t bytes = fulgur__dense_bytes(value->dtype, value->rank, value->dims);
    if (bytes)
      memcpy(outputs[i].data, value->data, (size_t)bytes);
  }
  for (int32_t i = 0; i < model->n_outputs && status != FULGUR_OK; ++i)
    if (ours[i])
      fulgur_release(frame->context, &outputs[i]);
  return status;
}

/// What can be wrong with the outputs and the allocator before the run.
static fulgur_status check_outputs(const fulgur_model *model,
                                   const fulgur_context *context,
                                   const fulgur_tensor *outputs) {
  if (context->allocator &&
      (!context->allocator->allocate || !context->allocator->release))
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "a function of the allocator is null");
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    const fulgur_port *port = &model->outputs[i];
    if (!outputs[i].data)
      continue;
    if (port->dtype == FULGUR_STRING || port->dtype == FULGUR_SEQUENCE ||
        port->dtype == FULGUR_OPTIONAL)
      return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                          "output '%s' is a %s, which the run allocates: its "
                          "data must be null",
                          port->name, fulgur_dtype_name(port->dtype));
    size_t element = fulgur_dtype_bytes(port->dtype);
    if (element && (uintptr_t)outputs[i].data % element != 0)
      return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                          "output '%s': its data is not aligned to the %zu "
                          "bytes of %s",
                          port->name, element, fulgur_dtype_name(port->dtype));
  }
  return FULGUR_OK;
}

fulgur_status fulgur__run_program(const fulgur_model *model,
                                  const fulgur_program *program,
                                  const fulgur_context *context,
                                  const int64_t *symbols, int32_t n_symbols,
                                  const fulgur_tensor *inputs,
                                  fulgur_tensor *outputs) {
  fulgur_status status = check_outputs(model, context, outputs);
  if (status != FULGUR_OK)
    return status;
  fulgur_frame *frame = create_frame(model, program, context);
  if (!frame)
    return FULGUR_OUT_OF_MEMORY;
  for (int32_t i = 0; i < model->n_symbols; ++i)
    frame->symbols[i] = i < n_symbols ? symbols[i] : -1;
  for (int32_t i = 0; i < model->n_inputs && status == FULGUR_OK; ++i)
    status = import_tensor(frame, &frame->slots[i], &inputs[i]);
  if (status == FULGUR_OK)
    status = (fulgur_status)program->drive(frame);
  if (status == FULGUR_OK)
    status = give_outputs(frame, outputs);
  destroy_frame(frame);
  return status;
}

void fulgur_release(const fulgur_context *context, fulgur_tensor *tensor) {
  if (!tensor)
    return;
  if (tensor->data && tensor->dtype >= FULGUR_SEQUENCE &&
      tensor->dtype <= FULGUR_MAP)
    for (int64_t i = 0; i < tensor->dims[0]; ++i)
      fulgur_release(context, (fulgur_tensor *)tensor->data + i);
  fulgur__free(allocator_of(context), tensor->data, tensor->bytes);
  tensor->data = NULL;
  tensor->bytes = 0;
}
