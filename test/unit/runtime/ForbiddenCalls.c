// The linker sends every call of these functions here (--wrap).
#define _DEFAULT_SOURCE
#include "ForbiddenCalls.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

int forbidden_calls;

#define WRAP(result, name, parameters, arguments)                              \
  result __real_##name parameters;                                             \
  result __wrap_##name parameters;                                             \
  result __wrap_##name parameters {                                            \
    __atomic_fetch_add(&forbidden_calls, 1, __ATOMIC_RELAXED);                 \
    return __real_##name arguments;                                            \
  }

WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t m), (n, m))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, aligned_alloc, (size_t a, size_t n), (a, n))
WRAP(void, free, (void *p), (p))
WRAP(int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
WRAP(int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m))
WRAP(int, open, (const char *p, int f, mode_t m), (p, f, m))
WRAP(void *, mmap, (void *a, size_t n, int p, int f, int d, off_t o),
     (a, n, p, f, d, o))
