// The default executor: a claim-based pool.
//
// A loop is a count of tasks that nobody has claimed yet. Whoever has time, the
// calling thread included, claims one by a compare-and-swap that counts down;
// the caller waits only for tasks that were claimed. A thread that the system
// does not schedule therefore delays nobody, and a worker that wakes up late
// finds the count at zero.
//
// The claim is what makes `task`, `argument` and `count` safe to read: they are
// read after it only. Before the claim succeeds, they may belong to a loop that
// is over; once it has, the loop cannot end before this task does, and the swap
// has acquired what the caller released together with the count. It does not
// matter that the count may have gone from 5 to 0 and, in the next loop, to 5
// again between load and swap: the swap then claims a task of the next loop.
#define _GNU_SOURCE
#include "Status.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum {
  CACHE_LINE = 64,
  WORKER_SPINS = 4096, // about 100 us, then sleep
  CALLER_SPINS = 4096, // then let others run
  MAX_THREADS = 4096
};

typedef struct pool {
  fulgur_executor executor; // first: what callers hold is a pointer to it
  alignas(CACHE_LINE) _Atomic int64_t unclaimed;
  alignas(CACHE_LINE) _Atomic int64_t finished;
  alignas(CACHE_LINE) fulgur_task task;
  void *argument;
  int64_t count;
  alignas(CACHE_LINE) atomic_flag busy;
  atomic_int sleepers;
  atomic_bool stop;
  pthread_mutex_t mutex; // for sleeping only
  pthread_cond_t wake;
  int32_t workers;
  pthread_t threads[];
} pool;

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/// Runs tasks of the present loop until none is left to claim.
static void work(pool *p) {
  int64_t left = atomic_load_explicit(&p->unclaimed, memory_order_relaxed);
  while (left > 0) {
    if (!atomic_compare_exchange_weak_explicit(&p->unclaimed, &left, left - 1,
                                               memory_order_acquire,
                                               memory_order_relaxed))
      continue;
    p->task(p->argument, p->count - left);
    atomic_fetch_add_explicit(&p->finished, 1, memory_order_release);
    left = atomic_load_explicit(&p->unclaimed, memory_order_relaxed);
  }
}

/// Waits for a task or the end. A sleeper announces itself before it looks a
/// last time, and the caller looks for sleepers after it has published: one of
/// the two sees the other.
static void wait_for_work(pool *p) {
  for (int i = 0; i < WORKER_SPINS; ++i) {
    if (atomic_load_explicit(&p->unclaimed, memory_order_relaxed) > 0 ||
        atomic_load_explicit(&p->stop, memory_order_relaxed))
      return;
    pause_cpu();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->sleepers, 1);
  while (atomic_load(&p->unclaimed) == 0 && !atomic_load(&p->stop))
    pthread_cond_wait(&p->wake, &p->mutex);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->mutex);
}

static void *worker(void *argument) {
  pool *p = argument;
  while (!atomic_load_explicit(&p->stop, memory_order_acquire)) {
    wait_for_work(p);
    work(p);
  }
  return NULL;
}

static void wake_all(pool *p) {
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
}

static void parallel_for(fulgur_executor *self, int64_t count, fulgur_task task,
                         void *argument) {
  pool *p = (pool *)self;
  // Taken by another thread, or by the loop whose task this call stands in.
  if (count <= 1 || p->workers == 0 ||
      atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire)) {
    for (int64_t i = 0; i < count; ++i)
      task(argument, i);
    return;
  }
  p->task = task;
  p->argument = argument;
  p->count = count;
  atomic_store_explicit(&p->finished, 0, memory_order_relaxed);
  atomic_store(&p->unclaimed, count);
  if (atomic_load(&p->sleepers) > 0)
    wake_all(p);
  work(p);
  for (int i = 0;
       atomic_load_explicit(&p->finished, memory_order_acquire) < count; ++i) {
    if (i < CALLER_SPINS)
      pause_cpu();
    else
      sched_yield();
  }
  atomic_flag_clear_explicit(&p->busy, memory_order_release);
}

/// CPUs that this process may use.
static int32_t usable_cpus(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int32_t)online : 1;
}

/// Starts the workers, without the signals meant for the product's threads.
static void start_workers(pool *p, int32_t workers) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (p->workers < workers &&
         pthread_create(&p->threads[p->workers], NULL, worker, p) == 0)
    ++p->workers;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

fulgur_executor *fulgur_pool_create(int32_t threads) {
  if (threads < 0 || threads > MAX_THREADS) {
    fulgur__fail(FULGUR_INVALID_ARGUMENT,
                 "a pool of %d threads was asked for, but 0 to %d are possible",
                 (int)threads, MAX_THREADS);
    return NULL;
  }
  if (threads == 0)
    threads = usable_cpus();
  int32_t workers = threads - 1;
  size_t bytes = sizeof(pool) + (size_t)workers * sizeof(pthread_t);
  bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
  pool *p = aligned_alloc(CACHE_LINE, bytes);
  if (!p) {
    fulgur__fail(FULGUR_INVALID_ARGUMENT, "out of memory for %d threads",
                 (int)threads);
    return NULL;
  }
  p->executor.parallel_for = parallel_for;
  atomic_init(&p->unclaimed, 0);
  atomic_init(&p->finished, 0);
  atomic_flag_clear(&p->busy);
  atomic_init(&p->sleepers, 0);
  atomic_init(&p->stop, 0);
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->wake, NULL);
  p->workers = 0;
  start_workers(p, workers);
  if (p->workers == workers)
    return &p->executor;
  fulgur__fail(FULGUR_INVALID_ARGUMENT,
               "the system started %d of %d threads only", (int)p->workers + 1,
               (int)threads);
  fulgur_pool_destroy(&p->executor);
  return NULL;
}

void fulgur_pool_destroy(fulgur_executor *executor) {
  pool *p = (pool *)executor;
  if (!p)
    return;
  atomic_store(&p->stop, 1);
  wake_all(p);
  for (int32_t i = 0; i < p->workers; ++i)
    pthread_join(p->threads[i], NULL);
  pthread_cond_destroy(&p->wake);
  pthread_mutex_destroy(&p->mutex);
  free(p);
}
