/* Runs two models in one program. */
#include "other.h"
#include "scale.h"
#include <stdio.h>
#include <string.h>

static void show(const char *name, int status, const float *y) {
  printf("%s %d:", name, status);
  for (int i = 0; i < 8; ++i)
    printf(" %g", y[i]);
  printf("\n");
}

int main(void) {
  static _Alignas(FULGUR_ALIGNMENT) char arena[SCALE_ARENA_BYTES];
  float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[8];
  scale_inputs in;
  scale_outputs out;
  other_inputs otherIn;
  other_outputs otherOut;
  fulgur_context context;
  size_t arenaBytes = 0;
  fulgur_context_init(&context);
  context.arena = arena;
  context.arena_bytes = sizeof arena;

  scale_set_x(&in, x, 2);
  int status = scale_plan(&in, &out, &arenaBytes);
  printf("plan %d: arena %d, %s is %d x %d\n", status, (int)arenaBytes,
         scale_model.outputs[0].name, (int)out.y_out_0.dims[0],
         (int)out.y_out_0.dims[1]);
  scale_set_y_out_0(&out, y, sizeof y);
  status = scale_run(&context, &in, &out);
  show("scale", status, y);

  memset(y, 0, sizeof y);
  other_set_x(&otherIn, x, 2);
  other_set_y_out_0(&otherOut, y, sizeof y);
  status = other_run(&context, &otherIn, &otherOut);
  show("other", status, y);

  scale_set_x(&in, x, 65);
  status = scale_run(&context, &in, &out);
  printf("wrong %d: %s\n", status, scale_last_message());
  return 0;
}
