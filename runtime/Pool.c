// The default executor: a claim-based pool.
//
// Every thread, the calling one included, has a share of a loop's tasks:
// neighbours, and the same ones in loops of as many tasks, so that what a
// thread wrote in one loop is in its own cache when it reads it in the next.
// Whoever is through with his share goes on with those of the others. A share
// is a count of tasks that nobody has claimed yet; one is claimed by a
// compare-and-swap that counts down, and the caller waits only for tasks that
// were claimed. A thread that the system does not schedule therefore delays
// nobody, and a worker that wakes up late finds all counts at zero.
//
// The claim is what makes `task`, `argument` and `end` safe to read: they are
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

/// A thread and its share of the present loop: all that it has to read to begin
/// is in one cache line.
typedef struct member {
  alignas(CACHE_LINE) _Atomic int64_t unclaimed;
  int64_t end; // the task behind the last one
  fulgur_task task;
  void *argument;
  atomic_uint loop; // the number of the loop
  struct pool *pool;
  pthread_t thread;
} member;

typedef struct pool {
  fulgur_executor executor; // first: what callers hold is a pointer to it
  int32_t size;             // threads, the calling one among them
  atomic_bool stop;
  alignas(CACHE_LINE) atomic_flag busy;
  unsigned loops;
  atomic_int sleepers;
  alignas(CACHE_LINE) _Atomic int64_t finished; // by workers
  alignas(CACHE_LINE) pthread_mutex_t mutex;    // for sleeping only
  pthread_cond_t wake;
  member members[]; // the first one is whoever calls
} pool;

static void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/// Runs tasks of a share until none is left to claim; returns how many. Not
/// inlined: the library is small, and a call costs nothing beside a claim.
__attribute__((noinline)) static int64_t take(member *share) {
  int64_t done = 0;
  int64_t left = atomic_load_explicit(&share->unclaimed, memory_order_relaxed);
  while (left > 0) {
    if (!atomic_compare_exchange_weak_explicit(&share->unclaimed, &left,
                                               left - 1, memory_order_acquire,
                                               memory_order_relaxed))
      continue;
    share->task(share->argument, share->end - left);
    ++done;
    left = atomic_load_explicit(&share->unclaimed, memory_order_relaxed);
  }
  return done;
}

/// The member that is `distance` behind another one.
static member *neighbour(pool *p, int32_t self, int32_t distance) {
  int32_t left = p->size - self;
  return &p->members[distance < left ? self + distance : distance - left];
}

/// Waits for a loop that is not `seen`, and returns its number. A sleeper
/// announces itself before it looks a last time, and the caller asks for
/// sleepers after it has published: one of the two sees the other.
static unsigned wait_for_loop(pool *p, member *self, unsigned seen) {
  unsigned loop = seen;
  for (int i = 0; i < WORKER_SPINS; ++i) {
    loop = atomic_load_explicit(&self->loop, memory_order_acquire);
    if (loop != seen)
      return loop;
    pause_cpu();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->sleepers, 1);
  while ((loop = atomic_load(&self->loop)) == seen)
    pthread_cond_wait(&p->wake, &p->mutex);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->mutex);
  return loop;
}

static void *worker(void *argument) {
  member *self = argument;
  pool *p = self->pool;
  unsigned loop = 0;
  for (;;) {
    loop = wait_for_loop(p, self, loop);
    if (atomic_load_explicit(&p->stop, memory_order_relaxed))
      return NULL;
    // His own share first, the others as long as there is no next loop.
    for (int32_t i = 0; i < p->size; ++i) {
      if (atomic_load_explicit(&self->loop, memory_order_relaxed) != loop)
        break;
      int64_t done = take(neighbour(p, (int32_t)(self - p->members), i));
      if (done)
        atomic_fetch_add_explicit(&p->finished, done, memory_order_release);
    }
  }
}

static void wake_all(pool *p) {
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->mutex);
}

/// Tells a member the number of a loop, which it is to see last.
static void announce(member *m, unsigned loop) {
  atomic_store_explicit(&m->loop, loop, memory_order_release);
}

/// Gives everybody an equal share of the tasks.
static void publish(pool *p, int64_t count, fulgur_task task, void *argument) {
  int64_t each = count / p->size, more = count % p->size, end = count;
  ++p->loops;
  for (int32_t i = p->size - 1; i >= 0; --i) {
    member *m = &p->members[i];
    int64_t tasks = each + (i < more);
    m->task = task;
    m->argument = argument;
    m->end = end;
    atomic_store_explicit(&m->unclaimed, tasks, memory_order_release);
    announce(m, p->loops);
    end -= tasks;
  }
}

static void parallel_for(fulgur_executor *self, int64_t count, fulgur_task task,
                         void *argument) {
  pool *p = (pool *)self;
  // Taken by another thread, or by the loop whose task this call stands in.
  if (count <= 1 || p->size == 1 ||
      atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire)) {
    for (int64_t i = 0; i < count; ++i)
      task(argument, i);
    return;
  }
  atomic_store_explicit(&p->finished, 0, memory_order_relaxed);
  publish(p, count, task, argument);
  if (atomic_fetch_add(&p->sleepers, 0) > 0)
    wake_all(p);
  int64_t others = count;
  for (int32_t i = 0; i < p->size; ++i)
    others -= take(&p->members[i]);
  for (int i = 0;
       atomic_load_explicit(&p->finished, memory_order_acquire) < others; ++i) {
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
static void start_workers(pool *p, int32_t size) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (p->size < size && pthread_create(&p->members[p->size].thread, NULL,
                                          worker, &p->members[p->size]) == 0)
    ++p->size;
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
  size_t bytes = sizeof(pool) + (size_t)threads * sizeof(member);
  pool *p = aligned_alloc(CACHE_LINE, bytes);
  if (!p) {
    fulgur__fail(FULGUR_INVALID_ARGUMENT, "out of memory for %d threads",
                 (int)threads);
    return NULL;
  }
  p->executor.parallel_for = parallel_for;
  p->loops = 0;
  p->size = 1;
  atomic_flag_clear(&p->busy);
  atomic_init(&p->finished, 0);
  atomic_init(&p->sleepers, 0);
  atomic_init(&p->stop, 0);
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->wake, NULL);
  for (int32_t i = 0; i < threads; ++i) {
    atomic_init(&p->members[i].unclaimed, 0);
    atomic_init(&p->members[i].loop, 0);
    p->members[i].pool = p;
  }
  start_workers(p, threads);
  if (p->size == threads)
    return &p->executor;
  fulgur__fail(FULGUR_INVALID_ARGUMENT,
               "the system started %d of %d threads only", (int)p->size,
               (int)threads);
  fulgur_pool_destroy(&p->executor);
  return NULL;
}

void fulgur_pool_destroy(fulgur_executor *executor) {
  pool *p = (pool *)executor;
  if (!p)
    return;
  atomic_store(&p->stop, 1);
  for (int32_t i = 1; i < p->size; ++i)
    announce(&p->members[i], p->loops + 1);
  wake_all(p);
  for (int32_t i = 1; i < p->size; ++i)
    pthread_join(p->members[i].thread, NULL);
  pthread_cond_destroy(&p->wake);
  pthread_mutex_destroy(&p->mutex);
  free(p);
}
