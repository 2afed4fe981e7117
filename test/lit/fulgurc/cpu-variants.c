/* Runs a model that has code for several kinds of CPUs as each of them. */
#include "m.h"
#include <stdio.h>

static void run(const char *what) {
  static _Alignas(FULGUR_ALIGNMENT) char arena[1 << 16];
  float x[3 * 64], y[3 * 80], sum = 0;
  m_inputs in;
  m_outputs out;
  fulgur_context context;
  fulgur_context_init(&context);
  context.arena = arena;
  context.arena_bytes = sizeof arena;
  for (int i = 0; i < 3 * 64; ++i)
    x[i] = (float)(i % 7);
  m_set_x(&in, x, 3);
  m_set_y(&out, y, sizeof y);
  if (fulgur_run(&m_model, &context, &in.x, 1, &out.y, 1) != FULGUR_OK) {
    printf("%s: %s\n", what, fulgur_last_message());
    return;
  }
  for (int i = 0; i < 3 * 80; ++i)
    sum += y[i];
  const char *chosen = fulgur_chosen_variant(&m_model);
  printf("%s: %s, %g %g %g\n", what, chosen, y[0], y[239], sum);
}

int main(void) {
  run("all");
  for (int i = 0; i < m_model.n_variants; ++i) {
    fulgur_limit_cpu(m_model.variants[i].cpu_features);
    run(m_model.variants[i].name);
  }
  fulgur_limit_cpu(m_model.cpu_features & ~(uint64_t)FULGUR_CPU_SSSE3);
  run("below the floor");
  return 0;
}
