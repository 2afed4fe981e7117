/* Runs the model m on made-up inputs of float and prints every output. */
#include "m.h"
#include <stdio.h>
#include <stdlib.h>

static void *aligned(size_t bytes) {
  size_t rounded = (bytes + FULGUR_ALIGNMENT - 1) / FULGUR_ALIGNMENT;
  return aligned_alloc(FULGUR_ALIGNMENT, (rounded + 1) * FULGUR_ALIGNMENT);
}

static size_t elements(const fulgur_tensor *tensor) {
  size_t count = 1;
  for (int i = 0; i < tensor->rank; ++i)
    count *= (size_t)tensor->dims[i];
  return count;
}

int main(void) {
  fulgur_tensor inputs[8], outputs[8];
  for (int i = 0; i < m_model.n_inputs; ++i) {
    fulgur_tensor *in = &inputs[i];
    in->dtype = FULGUR_FLOAT32;
    in->rank = m_model.inputs[i].rank;
    for (int k = 0; k < in->rank; ++k)
      in->dims[k] = m_model.inputs[i].dims[k].value;
    in->bytes = elements(in) * sizeof(float);
    in->data = aligned(in->bytes);
    for (size_t k = 0; k < elements(in); ++k)
      ((float *)in->data)[k] = (float)(k * 37 % 101) / 50 - 1;
  }
  fulgur_context context;
  fulgur_context_init(&context);
  int status = fulgur_plan(&m_model, inputs, m_model.n_inputs, outputs,
                           m_model.n_outputs, &context.arena_bytes);
  if (status == FULGUR_OK) {
    context.arena = aligned(context.arena_bytes);
    for (int i = 0; i < m_model.n_outputs; ++i) {
      outputs[i].bytes = elements(&outputs[i]) * sizeof(float);
      outputs[i].data = aligned(outputs[i].bytes);
    }
    status = fulgur_run(&m_model, &context, inputs, m_model.n_inputs, outputs,
                        m_model.n_outputs);
  }
  if (status != FULGUR_OK)
    return fprintf(stderr, "%s\n", fulgur_last_message()), 1;
  for (int i = 0; i < m_model.n_outputs; ++i)
    for (size_t k = 0; k < elements(&outputs[i]); ++k)
      printf("%.7g\n", ((const float *)outputs[i].data)[k]);
  return 0;
}
