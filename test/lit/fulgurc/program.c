/* Runs a program by its generated header. */
#include "program.h"
#include <stdio.h>

int main(void) {
  float x[] = {1, 2};
  int64_t times = 3;
  fulgur_context context;
  program_inputs in;
  program_outputs out = {0};
  fulgur_context_init(&context);
  program_set_x(&in, x, 2);
  program_set_times(&in, &times);
  size_t arena;
  if (program_plan(&in, &out, &arena) != FULGUR_OK)
    return puts(program_last_message()), 1;
  printf("plan: arena %zu, all has %d dim of %lld\n", arena, (int)out.all.rank,
         (long long)out.all.dims[0]);
  if (program_run(&context, &in, &out) != FULGUR_OK)
    return puts(program_last_message()), 1;
  const float *all = out.all.data;
  const fulgur_tensor *each = out.each.data;
  printf("all:");
  for (int64_t i = 0; i < out.all.dims[0]; ++i)
    printf(" %g", all[i]);
  printf("\neach: %lld, the last %g %g\n", (long long)out.each.dims[0],
         ((const float *)each[2].data)[0], ((const float *)each[2].data)[1]);
  program_release(&context, &out);
  float small[4];
  program_set_all(&out, small, sizeof small);
  fulgur_status status = program_run(&context, &in, &out);
  printf("small %d: %s; %lld are needed\n", (int)status, program_last_message(),
         (long long)out.all.dims[0]);
  times = 0;
  status = program_run(&context, &in, &out);
  printf("none %d: %s\n", (int)status, program_last_message());
  return 0;
}
