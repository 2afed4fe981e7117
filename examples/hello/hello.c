/* Runs a compiled model on two rows, single-threaded, with all memory its own.
 */
#include "hello.h"

#include <fulgur.h>

#include <stdio.h>

int main(void) {
  float x[2][3] = {{1, 2, 3}, {-1, -2, -3}}, y[2][2];
  static _Alignas(FULGUR_ALIGNMENT) char arena[1 << 16];
  fulgur_tensor in = {.data = x,
                      .bytes = sizeof x,
                      .dtype = FULGUR_FLOAT32,
                      .rank = 2,
                      .dims = {2, 3}};
  fulgur_tensor out = {.data = y, .bytes = sizeof y};
  fulgur_context context;
  fulgur_context_init(&context);
  context.arena = arena;
  context.arena_bytes = sizeof arena;
  if (fulgur_run(&hello_model, &context, &in, 1, &out, 1) != FULGUR_OK) {
    fprintf(stderr, "hello: error: %s\n", fulgur_last_message());
    return 1;
  }
  for (int i = 0; i < out.dims[0]; ++i)
    printf("%g %g\n", y[i][0], y[i][1]);
  return 0;
}
