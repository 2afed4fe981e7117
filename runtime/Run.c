// fulgur_plan() and fulgur_run(): everything that a caller can get wrong is
// checked here, so that generated code needs no checks of its own but those of
// values. For plain models nothing is allocated and no state is kept but on the
// stack; programs run in Program.c.
#include "Cpu.h"
#include "Dense.h"
#include "Integer.h"
#include "Program.h"
#include "Status.h"

#include <inttypes.h>
#include <string.h>

/// What the inputs' dims make of the model. Only a program can have more
/// symbols than these; the others come from its run.
typedef struct shapes {
  fulgur_variant code; ///< what will run
  int64_t symbols[FULGUR_MAX_PORTS];
  int64_t output_dims[FULGUR_MAX_PORTS * FULGUR_MAX_RANK];
  int64_t arena_bytes;
} shapes;

/// The code that this CPU can run, or else the code that asks least of it.
static fulgur_variant choose_code(const fulgur_model *model) {
  for (int32_t i = 0; i < model->n_variants; ++i)
    if (!fulgur__cpu_lacks(model->variants[i].cpu_features))
      return model->variants[i];
  return (fulgur_variant){model->target,      model->cpu_features,
                          model->arena_bytes, model->n_messages,
                          model->messages,    model->plan,
                          model->run,         model->program};
}

const char *fulgur_chosen_variant(const fulgur_model *model) {
  fulgur_variant code = choose_code(model);
  return fulgur__cpu_lacks(code.cpu_features) ? NULL : code.name;
}

static fulgur_status check_model(const fulgur_model *model,
                                 fulgur_variant *code) {
  if (!model)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "the model is null");
  if (model->abi_version != FULGUR_ABI_VERSION)
    return fulgur__fail(FULGUR_VERSION_MISMATCH,
                        "the model has ABI version %u, but this runtime has %u",
                        (unsigned)model->abi_version, FULGUR_ABI_VERSION);
  if (model->struct_bytes < sizeof(fulgur_model))
    return fulgur__fail(
        FULGUR_VERSION_MISMATCH,
        "the model's descriptor has %u bytes, but this runtime wants %u",
        (unsigned)model->struct_bytes, (unsigned)sizeof(fulgur_model));
  const int32_t counts[] = {model->n_inputs, model->n_outputs,
                            model->n_symbols};
  for (int i = 0; i < (model->program ? 2 : 3); ++i)
    if (counts[i] < 0 || counts[i] > FULGUR_MAX_PORTS)
      return fulgur__fail(FULGUR_INVALID_COUNT,
                          "model '%s' has %d %s, but 0 to %d are possible",
                          model->name, (int)counts[i],
                          (const char *[]){"inputs", "outputs", "symbols"}[i],
                          FULGUR_MAX_PORTS);
  *code = choose_code(model);
  uint64_t lacking = fulgur__cpu_lacks(code->cpu_features);
  if (lacking) {
    char names[256];
    fulgur__cpu_names(lacking, names, sizeof names);
    return fulgur__fail(FULGUR_UNSUPPORTED_CPU,
                        "model '%s' was compiled for '%s', but this CPU or its "
                        "operating system lacks %s",
                        model->name, model->target, names);
  }
  return FULGUR_OK;
}

static fulgur_status check_count(const fulgur_model *model, const char *what,
                                 const fulgur_tensor *tensors, int32_t given,
                                 int32_t wanted) {
  if (given != wanted)
    return fulgur__fail(FULGUR_INVALID_COUNT,
                        "model '%s' has %d %ss, but %d are given", model->name,
                        (int)wanted, what, (int)given);
  if (!tensors && wanted > 0)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "the array of %ss is null",
                        what);
  return FULGUR_OK;
}

static int32_t planned_symbols(const fulgur_model *model) {
  return model->n_symbols < FULGUR_MAX_PORTS ? model->n_symbols
                                             : FULGUR_MAX_PORTS;
}

static int is_container(fulgur_dtype dtype) {
  return dtype == FULGUR_SEQUENCE || dtype == FULGUR_OPTIONAL;
}

/// The dims that a port has in `shapes`.
static int32_t planned_rank(const fulgur_port *port) {
  return port->rank < 0 ? 0 : port->rank;
}

/// Is a tensor's buffer there, aligned to its element, and large enough?
static fulgur_status check_buffer(const char *what, const char *name,
                                  const fulgur_tensor *tensor,
                                  fulgur_dtype dtype, int32_t rank,
                                  const int64_t *dims) {
  int64_t bytes = fulgur__dense_bytes(dtype, rank, dims);
  if (bytes < 0)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "%s '%s': the product of its dims is too large", what,
                        name);
  if (tensor->bytes < (uint64_t)bytes)
    return fulgur__fail(FULGUR_BUFFER_TOO_SMALL,
                        "%s '%s': its buffer has %zu bytes, but its dims need "
                        "%" PRId64,
                        what, name, tensor->bytes, bytes);
  if (!tensor->data && bytes > 0)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "%s '%s': its data is null",
                        what, name);
  size_t element =
      is_container(dtype) ? _Alignof(fulgur_tensor) : fulgur_dtype_bytes(dtype);
  if (element && (uintptr_t)tensor->data % element != 0)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "%s '%s': its data is not aligned to the %zu bytes of "
                        "%s",
                        what, name, element, fulgur_dtype_name(dtype));
  return FULGUR_OK;
}

static fulgur_status range_error(const fulgur_port *port, int32_t i,
                                 int64_t given, const fulgur_symbol *symbol) {
  if (symbol->max == INT64_MAX)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "input '%s': dim %d (%s) is %" PRId64
                        ", but must be at least %" PRId64,
                        port->name, (int)i, symbol->name, given, symbol->min);
  return fulgur__fail(FULGUR_INVALID_DIMS,
                      "input '%s': dim %d (%s) is %" PRId64
                      ", but must be from %" PRId64 " to %" PRId64,
                      port->name, (int)i, symbol->name, given, symbol->min,
                      symbol->max);
}

/// Checks one input's dims; the first input that has a symbol gives its value,
/// which `giver` remembers (1-based, 0 for none).
static fulgur_status bind_dims(const fulgur_model *model, int32_t input,
                               const fulgur_tensor *tensor, int64_t *symbols,
                               uint16_t *giver) {
  const fulgur_port *port = &model->inputs[input];
  for (int32_t i = 0; i < port->rank; ++i) {
    const fulgur_dim *dim = &port->dims[i];
    int64_t given = tensor->dims[i];
    if (given < 0)
      return fulgur__fail(FULGUR_INVALID_DIMS,
                          "input '%s': dim %d is %" PRId64
                          ", but must not be negative",
                          port->name, (int)i, given);
    if (dim->value >= 0) {
      if (given != dim->value)
        return fulgur__fail(FULGUR_INVALID_DIMS,
                            "input '%s': dim %d is %" PRId64
                            ", but the model has %" PRId64,
                            port->name, (int)i, given, dim->value);
      continue;
    }
    int32_t s = dim->symbol;
    if (s < 0 || s >= planned_symbols(model))
      continue; // plan() knows what is required of it
    if (giver[s] == 0) {
      if (given < model->symbols[s].min || given > model->symbols[s].max)
        return range_error(port, i, given, &model->symbols[s]);
      giver[s] = (uint16_t)(input + 1);
      symbols[s] = given;
      continue;
    }
    if (given != symbols[s])
      return fulgur__fail(FULGUR_INVALID_DIMS,
                          "input '%s': dim %d (%s) is %" PRId64
                          ", but '%s' gave %" PRId64,
                          port->name, (int)i, model->symbols[s].name, given,
                          model->inputs[giver[s] - 1].name, symbols[s]);
  }
  return FULGUR_OK;
}

/// Reads a symbol that is an element of an input whose dims are checked.
static fulgur_status bind_value(const fulgur_model *model,
                                const fulgur_symbol *symbol,
                                const fulgur_tensor *inputs, int64_t *value) {
  const char *name = model->inputs[symbol->input].name;
  const fulgur_tensor *tensor = &inputs[symbol->input];
  if (!tensor->data)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "input '%s': its data decide about shapes, but are "
                        "null",
                        name);
  size_t needed =
      (size_t)(symbol->element + 1) * fulgur_dtype_bytes(tensor->dtype);
  if (tensor->bytes < needed)
    return fulgur__fail(FULGUR_BUFFER_TOO_SMALL,
                        "input '%s': its buffer has %zu bytes, but its dims "
                        "need at least %zu",
                        name, tensor->bytes, needed);
  *value = fulgur__integer(tensor->dtype, tensor->data, symbol->element);
  if (*value < symbol->min || *value > symbol->max)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "input '%s': element %" PRId64 " is %" PRId64
                        ", but must be from %" PRId64 " to %" PRId64,
                        name, symbol->element, *value, symbol->min,
                        symbol->max);
  return FULGUR_OK;
}

/// Checks how many tensors a sequence or optional has.
static fulgur_status check_container(const fulgur_port *port,
                                     const fulgur_tensor *tensor) {
  if (tensor->rank != 1)
    return fulgur__fail(
        FULGUR_INVALID_RANK, "input '%s': its rank is %d, but a %s has 1",
        port->name, (int)tensor->rank, fulgur_dtype_name(port->dtype));
  int64_t limit = port->dtype == FULGUR_OPTIONAL ? 1 : INT64_MAX;
  if (tensor->dims[0] < 0 || tensor->dims[0] > limit)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "input '%s': it has %" PRId64 " elements, which no %s "
                        "can have",
                        port->name, tensor->dims[0],
                        fulgur_dtype_name(port->dtype));
  return FULGUR_OK;
}

/// Checks the elements of an input that is a sequence or an optional.
static fulgur_status check_elements(const char *name, const fulgur_port *port,
                                    const fulgur_tensor *tensor) {
  const fulgur_port *wanted = port->element;
  const fulgur_tensor *elements = tensor->data;
  for (int64_t i = 0; i < tensor->dims[0]; ++i) {
    const fulgur_tensor *element = &elements[i];
    if (element->dtype != wanted->dtype)
      return fulgur__fail(FULGUR_INVALID_DTYPE,
                          "input '%s': the type of its element %" PRId64
                          " is %s, but the model has %s",
                          name, i, fulgur_dtype_name(element->dtype),
                          fulgur_dtype_name(wanted->dtype));
    int32_t least = wanted->rank < 0 ? 0 : wanted->rank,
            most = wanted->rank < 0 ? FULGUR_MAX_RANK : wanted->rank;
    if (element->rank < least || element->rank > most)
      return fulgur__fail(FULGUR_INVALID_RANK,
                          "input '%s': the rank of its element %" PRId64
                          " is %d, but must be from %d to %d",
                          name, i, (int)element->rank, (int)least, (int)most);
    for (int32_t k = 0; k < element->rank; ++k)
      if (element->dims[k] < 0)
        return fulgur__fail(FULGUR_INVALID_DIMS,
                            "input '%s': dim %d of its element %" PRId64
                            " is %" PRId64 ", but must not be negative",
                            name, (int)k, i, element->dims[k]);
    fulgur_status status =
        check_buffer("element of input", name, element, element->dtype,
                     element->rank, element->dims);
    if (status == FULGUR_OK && is_container(element->dtype))
      status = check_elements(name, wanted, element);
    if (status != FULGUR_OK)
      return status;
  }
  return FULGUR_OK;
}

static fulgur_status check_inputs(const fulgur_model *model,
                                  const fulgur_tensor *inputs,
                                  int64_t *symbols) {
  uint16_t giver[FULGUR_MAX_PORTS];
  int32_t n_symbols = planned_symbols(model);
  memset(giver, 0, (size_t)n_symbols * sizeof *giver);
  for (int32_t i = 0; i < model->n_inputs; ++i) {
    const fulgur_port *port = &model->inputs[i];
    if (inputs[i].dtype != port->dtype)
      return fulgur__fail(FULGUR_INVALID_DTYPE,
                          "input '%s': its type is %s, but the model has %s",
                          port->name, fulgur_dtype_name(inputs[i].dtype),
                          fulgur_dtype_name(port->dtype));
    if (is_container(port->dtype)) {
      fulgur_status status = check_container(port, &inputs[i]);
      if (status != FULGUR_OK)
        return status;
      continue;
    }
    if (inputs[i].rank != port->rank)
      return fulgur__fail(FULGUR_INVALID_RANK,
                          "input '%s': its rank is %d, but the model has %d",
                          port->name, (int)inputs[i].rank, (int)port->rank);
    fulgur_status status = bind_dims(model, i, &inputs[i], symbols, giver);
    if (status != FULGUR_OK)
      return status;
    if (fulgur__dense_bytes(port->dtype, port->rank, inputs[i].dims) < 0)
      return fulgur__fail(FULGUR_INVALID_DIMS,
                          "input '%s': the product of its dims is too large",
                          port->name);
  }
  for (int32_t s = 0; s < n_symbols; ++s) {
    const fulgur_symbol *symbol = &model->symbols[s];
    if (symbol->source == FULGUR_FROM_RUN) {
      symbols[s] = -1;
    } else if (symbol->source == FULGUR_FROM_VALUE) {
      fulgur_status status = bind_value(model, symbol, inputs, &symbols[s]);
      if (status != FULGUR_OK)
        return status;
    } else if (giver[s] == 0) {
      return fulgur__fail(FULGUR_INVALID_DIMS,
                          "model '%s': no input gives the size of '%s'",
                          model->name, symbol->name);
    }
  }
  return FULGUR_OK;
}

/// The message with the number that generated code returned.
static const char *message_of(const fulgur_variant *code, int32_t number) {
  return number > 0 && number <= code->n_messages
             ? code->messages[number - 1]
             : "no message is known for the failure";
}

/// What can be known before a program runs; -1 where it cannot.
static void plan_program(const fulgur_model *model, shapes *result) {
  result->arena_bytes = 0;
  int64_t *dims = result->output_dims;
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    const fulgur_port *port = &model->outputs[i];
    for (int32_t k = 0; k < planned_rank(port); ++k) {
      const fulgur_dim *dim = port->dims ? &port->dims[k] : NULL;
      *dims++ = !dim              ? -1
                : dim->value >= 0 ? dim->value
                : dim->symbol >= 0 && dim->symbol < planned_symbols(model)
                    ? result->symbols[dim->symbol]
                    : -1;
    }
  }
}

/// All checks that need no buffers, and the sizes that follow from the inputs.
static fulgur_status plan_shapes(const fulgur_model *model,
                                 const fulgur_tensor *inputs, int32_t n_inputs,
                                 shapes *result) {
  fulgur_status status = check_model(model, &result->code);
  if (status == FULGUR_OK)
    status = check_count(model, "input", inputs, n_inputs, model->n_inputs);
  if (status == FULGUR_OK)
    status = check_inputs(model, inputs, result->symbols);
  if (status != FULGUR_OK)
    return status;
  if (model->program) {
    plan_program(model, result);
    return FULGUR_OK;
  }
  int32_t number = result->code.plan(result->symbols, &result->arena_bytes,
                                     result->output_dims);
  if (number != 0)
    return fulgur__fail(FULGUR_INVALID_DIMS, "model '%s': %s", model->name,
                        message_of(&result->code, number));
  if (result->arena_bytes < 0)
    return fulgur__fail(FULGUR_INVALID_DIMS,
                        "model '%s': the memory that these dims need is too "
                        "large",
                        model->name);
  const int64_t *dims = result->output_dims;
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    const fulgur_port *port = &model->outputs[i];
    for (int32_t k = 0; k < port->rank; ++k)
      if (dims[k] < 0)
        return fulgur__fail(FULGUR_INVALID_DIMS,
                            "output '%s': these inputs make its dim %d (%s) "
                            "%" PRId64,
                            port->name, (int)k, port->dims[k].text, dims[k]);
    dims += port->rank;
  }
  return FULGUR_OK;
}

/// Writes what the model makes of the outputs: dtype, rank and dims.
static void describe_outputs(const fulgur_model *model, const shapes *planned,
                             fulgur_tensor *outputs) {
  const int64_t *dims = planned->output_dims;
  for (int32_t i = 0; i < model->n_outputs; ++i) {
    const fulgur_port *port = &model->outputs[i];
    outputs[i].dtype = port->dtype;
    outputs[i].rank = port->rank;
    memcpy(outputs[i].dims, dims, (size_t)planned_rank(port) * sizeof *dims);
    dims += planned_rank(port);
  }
}

static fulgur_status check_context(const fulgur_model *model,
                                   const fulgur_context *context,
                                   int64_t arena_bytes) {
  if ((uintptr_t)context->arena % FULGUR_ALIGNMENT != 0)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "the arena is not aligned to %d bytes",
                        FULGUR_ALIGNMENT);
  if (context->arena_bytes < (uint64_t)arena_bytes)
    return fulgur__fail(FULGUR_BUFFER_TOO_SMALL,
                        "the arena has %zu bytes, but these dims need %" PRId64,
                        context->arena_bytes, arena_bytes);
  if (!context->arena && arena_bytes > 0)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "the arena is null");
  if (model->weights_bytes == 0)
    return FULGUR_OK;
  if (!context->weights && !model->embedded_weights)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "model '%s' keeps its weights in a file, but the "
                        "context has none",
                        model->name);
  if (context->weights && context->weights_bytes != model->weights_bytes)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "the context has %zu bytes of weights, but model '%s' "
                        "has %" PRIu64,
                        context->weights_bytes, model->name,
                        model->weights_bytes);
  if ((uintptr_t)context->weights % FULGUR_ALIGNMENT != 0)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "the weights are not aligned to %d bytes",
                        FULGUR_ALIGNMENT);
  return FULGUR_OK;
}

static fulgur_status check_buffers(const fulgur_model *model,
                                   const shapes *planned,
                                   const fulgur_tensor *inputs,
                                   const fulgur_tensor *outputs) {
  fulgur_status status = FULGUR_OK;
  for (int32_t i = 0; i < model->n_inputs && status == FULGUR_OK; ++i) {
    const fulgur_port *port = &model->inputs[i];
    status = check_buffer("input", port->name, &inputs[i], inputs[i].dtype,
                          inputs[i].rank, inputs[i].dims);
    if (status == FULGUR_OK && is_container(port->dtype))
      status = check_elements(port->name, port, &inputs[i]);
  }
  if (model->program)
    return status; // the outputs' sizes are not known yet
  const int64_t *dims = planned->output_dims;
  for (int32_t i = 0; i < model->n_outputs && status == FULGUR_OK; ++i) {
    const fulgur_port *port = &model->outputs[i];
    status = check_buffer("output", port->name, &outputs[i], port->dtype,
                          port->rank, dims);
    dims += port->rank;
  }
  for (int32_t i = 0; i < model->n_states && status == FULGUR_OK; ++i) {
    const fulgur_state *state = &model->states[i];
    if (inputs[state->input].data != outputs[state->output].data)
      status = fulgur__fail(
          FULGUR_INVALID_ARGUMENT,
          "input '%s' and output '%s' are one buffer, but have different data",
          model->inputs[state->input].name, model->outputs[state->output].name);
  }
  return status;
}

void fulgur__run_serially(fulgur_executor *self, int64_t count,
                          fulgur_task task, void *argument) {
  (void)self;
  for (int64_t i = 0; i < count; ++i)
    task(argument, i);
}

static fulgur_status call(const fulgur_model *model,
                          const fulgur_context *context, shapes *planned,
                          const fulgur_tensor *inputs,
                          const fulgur_tensor *outputs) {
  void *input_data[FULGUR_MAX_PORTS], *output_data[FULGUR_MAX_PORTS];
  for (int32_t i = 0; i < model->n_inputs; ++i)
    input_data[i] = inputs[i].data;
  for (int32_t i = 0; i < model->n_outputs; ++i)
    output_data[i] = outputs[i].data;
  const fulgur_call arguments = {
      .symbols = planned->symbols,
      .inputs = input_data,
      .outputs = output_data,
      .arena = context->arena,
      .weights = context->weights ? context->weights : model->embedded_weights,
      .parallel_for = context->executor ? context->executor->parallel_for
                                        : fulgur__run_serially,
      .executor = context->executor,
      .output_dims = planned->output_dims,
  };
  int32_t number = planned->code.run(&arguments);
  if (number != 0)
    return fulgur__fail(FULGUR_INVALID_VALUE, "model '%s': %s", model->name,
                        message_of(&planned->code, number));
  return FULGUR_OK;
}

void fulgur_context_init(fulgur_context *context) {
  if (!context)
    return;
  memset(context, 0, sizeof *context);
  context->struct_bytes = sizeof *context;
}

fulgur_status fulgur_plan(const fulgur_model *model,
                          const fulgur_tensor *inputs, int32_t n_inputs,
                          fulgur_tensor *outputs, int32_t n_outputs,
                          size_t *arena_bytes) {
  shapes planned;
  fulgur_status status = plan_shapes(model, inputs, n_inputs, &planned);
  if (status == FULGUR_OK && outputs)
    status = check_count(model, "output", outputs, n_outputs, model->n_outputs);
  if (status != FULGUR_OK)
    return status;
  if (outputs)
    describe_outputs(model, &planned, outputs);
  if (arena_bytes)
    *arena_bytes = (size_t)planned.arena_bytes;
  return FULGUR_OK;
}

fulgur_status fulgur_run(const fulgur_model *model,
                         const fulgur_context *context,
                         const fulgur_tensor *inputs, int32_t n_inputs,
                         fulgur_tensor *outputs, int32_t n_outputs) {
  if (!context)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "the context is null");
  if (context->struct_bytes < sizeof *context)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "the context has %u bytes instead of %u: fill it with "
                        "fulgur_context_init()",
                        (unsigned)context->struct_bytes,
                        (unsigned)sizeof *context);
  shapes planned;
  fulgur_status status = plan_shapes(model, inputs, n_inputs, &planned);
  if (status == FULGUR_OK)
    status = check_count(model, "output", outputs, n_outputs, model->n_outputs);
  if (status == FULGUR_OK)
    status = check_context(model, context, planned.arena_bytes);
  if (status == FULGUR_OK)
    status = check_buffers(model, &planned, inputs, outputs);
  if (status != FULGUR_OK)
    return status;
  if (model->program)
    return fulgur__run_program(model, planned.code.program, context,
                               planned.symbols, planned_symbols(model), inputs,
                               outputs);
  status = call(model, context, &planned, inputs, outputs);
  if (status == FULGUR_OK)
    describe_outputs(model, &planned, outputs);
  return status;
}
