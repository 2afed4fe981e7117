/* Appends to a state, and adds to another, until the first is full. */
#include "states.h"
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  float x[2], y[2], keys[3][2] = {{9, 9}, {9, 9}, {9, 9}}, sum[2] = {0, 0};
  fulgur_context context;
  states_inputs in;
  states_outputs out;
  fulgur_context_init(&context);
  int64_t past = 0;
  states_set_x(&in, x, 1);
  states_set_past_keys(&in, &keys[0][0], 3);
  states_set_past_sum(&in, sum);
  states_set_past(&in, &past);
  states_set_y(&out, y, sizeof y);
  states_set_present_keys(&out, &keys[0][0], sizeof keys);
  states_set_present_sum(&out, sum, sizeof sum);
  size_t bytes;
  if (states_plan(&in, &out, &bytes) != FULGUR_OK)
    return puts(states_last_message()), 1;
  context.arena = aligned_alloc(FULGUR_ALIGNMENT, bytes ? bytes : 64);
  context.arena_bytes = bytes;
  for (; past < 4; ++past) {
    x[0] = (float)past + 1;
    x[1] = 10 * x[0];
    fulgur_status status = states_run(&context, &in, &out);
    if (status != FULGUR_OK)
      printf("%d: %s\n", (int)status, states_last_message());
    printf("%g %g %g %g %g %g, sum %g %g\n", keys[0][0], keys[0][1], keys[1][0],
           keys[1][1], keys[2][0], keys[2][1], sum[0], sum[1]);
  }
  states_set_present_sum(&out, y, sizeof y);
  printf("%d: ", (int)states_run(&context, &in, &out));
  past = 0;
  printf("%d: ", (int)states_run(&context, &in, &out));
  puts(states_last_message());
  free(context.arena);
  return 0;
}
