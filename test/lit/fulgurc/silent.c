/* Runs a compiled model where every system call but write and exit kills the
 * process, counting allocations. */
#define _GNU_SOURCE
#include "block.h"
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int allocations;
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes) {
  ++allocations;
  return __real_malloc(bytes);
}
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes) {
  ++allocations;
  return __real_calloc(count, bytes);
}

enum { rows = 37, columns = 64 };
static float x[rows * columns], y[rows * columns];
static _Alignas(FULGUR_ALIGNMENT) char arena[1 << 20];

int main(void) {
  block_inputs in;
  block_outputs out;
  fulgur_context context;
  size_t arenaBytes = 0;
  fulgur_context_init(&context);
  context.arena = arena;
  context.arena_bytes = sizeof arena;
  for (int i = 0; i < rows * columns; ++i)
    x[i] = (float)(i % 13) - 6.0f;
  block_set_x(&in, x, rows);
  if (block_plan(&in, &out, &arenaBytes) != FULGUR_OK ||
      arenaBytes > sizeof arena)
    return printf("plan: %s\n", block_last_message()), 1;
  out.y.data = y;
  out.y.bytes = sizeof y;
  fflush(stdout);
  allocations = 0;
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  int status = block_run(&context, &in, &out);
  float sum = 0; /* of a row of a softmax */
  for (int i = 0; i < columns; ++i)
    sum += y[i];
  const char *message = "wrong\n";
  if (status == FULGUR_OK && allocations == 0 && sum > 0.999f && sum < 1.001f)
    message = "silent\n";
  syscall(SYS_write, 1, message, strlen(message));
  syscall(SYS_exit, 0);
}
