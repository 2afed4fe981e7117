// With DEMO_WEIGHTS_FILE the weights are not embedded; DEMO_SLOWDOWN repeats
// the work, for comparisons of speed.
#include "DemoModel.h"

#ifndef DEMO_SLOWDOWN
#define DEMO_SLOWDOWN 1
#endif

enum { BATCH, SEQUENCE };
enum { MESSAGE_SIZE = 1, MESSAGE_INDEX };

static const fulgur_dim matrix[] = {{-1, BATCH, "batch"},
                                    {-1, SEQUENCE, "sequence"}};
static const fulgur_dim four[] = {{4, -1, "4"}};
static const fulgur_dim rows[] = {{-1, -1, "batch"}};

static const fulgur_port inputs[] = {{"x", FULGUR_FLOAT32, 2, matrix, NULL},
                                     {"ids", FULGUR_INT64, 2, matrix, NULL},
                                     {"scale", FULGUR_FLOAT32, 1, four, NULL}};
static const fulgur_port outputs[] = {{"y", FULGUR_FLOAT32, 2, matrix, NULL},
                                      {"sum", FULGUR_FLOAT32, 1, rows, NULL}};
static const fulgur_symbol symbols[] = {
    {"batch", 1, INT64_MAX, FULGUR_FROM_DIM, 0, 0},
    {"sequence", 1, 64, FULGUR_FROM_DIM, 0, 0}};
static const char *const messages[] = {
    [MESSAGE_SIZE - 1] =
        "node 'flatten': batch * sequence must be at most 4096",
    [MESSAGE_INDEX - 1] =
        "node 'embedding': index outside axis 0 of 'scale' (4 rows)"};

#ifndef DEMO_WEIGHTS_FILE
static const _Alignas(64) float weights[16] = {0.5f};
#endif

static int32_t plan(const int64_t *s, int64_t *arena_bytes,
                    int64_t *output_dims) {
  if (s[BATCH] > 4096 || s[BATCH] * s[SEQUENCE] > 4096)
    return MESSAGE_SIZE;
  *arena_bytes = s[BATCH] * 64;
  output_dims[0] = s[BATCH];
  output_dims[1] = s[SEQUENCE];
  output_dims[2] = s[BATCH];
  return 0;
}

/// One row.
static void row(void *argument, int64_t b) {
  const fulgur_call *call = argument;
  int64_t n = call->symbols[SEQUENCE];
  const float *x = (const float *)call->inputs[0] + b * n;
  const int64_t *ids = (const int64_t *)call->inputs[1] + b * n;
  const float *scale = call->inputs[2];
  float *y = (float *)call->outputs[0] + b * n;
  float *sum = (float *)(call->arena + b * 64);
  for (volatile int again = 0; again < DEMO_SLOWDOWN; ++again) {
    *sum = 0;
    for (int64_t i = 0; i < n; ++i)
      *sum += y[i] = x[i] * scale[ids[i]] + ((const float *)call->weights)[0];
  }
}

static int32_t run(const fulgur_call *call) {
  int64_t batch = call->symbols[BATCH], n = batch * call->symbols[SEQUENCE];
  const int64_t *ids = call->inputs[1];
  for (int64_t i = 0; i < n; ++i)
    if (ids[i] < 0 || ids[i] >= 4)
      return MESSAGE_INDEX;
  call->parallel_for(call->executor, batch, row, (void *)call);
  float *sum = call->outputs[1];
  for (int64_t b = 0; b < batch; ++b)
    sum[b] = *(const float *)(call->arena + b * 64);
  return 0;
}

const fulgur_model demo_model = {
    .abi_version = FULGUR_ABI_VERSION,
    .struct_bytes = sizeof(fulgur_model),
    .name = "demo",
    .producer = "hand",
    .target = "any",
    .n_inputs = 3,
    .n_outputs = 2,
    .n_symbols = 2,
    .n_messages = 2,
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
    .messages = messages,
#ifndef DEMO_WEIGHTS_FILE
    .embedded_weights = weights,
#endif
    .weights_bytes = 64,
    .weights_hash = UINT64_C(0xf58ac6382d7436fd),
    .stack_bytes = 1024,
    .plan = plan,
    .run = run,
};
