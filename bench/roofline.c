/* What this machine can do, measured: multiply-adds in registers, and reading.
 *
 *   roofline THREADS CACHE_BYTES MEMORY_BYTES
 *   roofline THREADS MEMORY_BYTES
 *
 * The first prints one line of JSON. Rates are the best of several tries,
 * because the least disturbed one says most about the machine. The second is
 * what a model's times can be held against that were measured next to it: for
 * every line of its input, "RUNS KIND AMOUNT", it does as many runs of the same
 * work one after the other, and prints two numbers of milliseconds for each:
 * how long it took, and how long its threads were kept from running. A run is
 * over when all threads are through with their part of it:
 *
 *   c  so many steps of multiply-adds, with what is in a core's cache and what
 *      comes from memory
 *   r  reading so many bytes, all threads together
 *   x  handing a word around so many times, from thread to thread */
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16, CHAINS = 12 };
#define REGISTER "v"
#else
enum { LANES = 8, CHAINS = 10 };
#define REGISTER "x"
#endif
typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef long long Words __attribute__((vector_size(LANES * 4)));

/* A try takes one or two milliseconds: short, so that among many of them some
 * are not disturbed by other programs. */
enum { TRIES = 60, SLICE = 32 << 20 };
static long steps = 300000;

/* As many independent chains as hide the latency, each in a register. */
#define CHAIN_LOOP(Type, start, expression, before)                            \
  Type a[CHAINS];                                                              \
  for (int i = 0; i < CHAINS; ++i)                                             \
    a[i] = start;                                                              \
  for (long step = 0; step < steps; ++step) {                                  \
    before;                                                                    \
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; ++i) {      \
      a[i] = expression;                                                       \
      __asm__ volatile("" : "+" REGISTER(a[i]));                               \
    }                                                                          \
  }

/* Memory of a thread's own. */
typedef struct {
  const char *bytes;
  size_t count;
} Part;

static double multiplyAdds(Part none) {
  (void)none;
  Vector b = {0}, c = {0};
  b += 0.999f, c += 1e-9f;
  CHAIN_LOOP(Vector, c, a[i] * b + c, )
  return 2.0 * LANES * CHAINS * (double)steps;
}

/* As a product of matrices has them: a vector of every step comes from what
 * stays in a core's cache, and another one of every eighth step from what does
 * not. */
static double productSteps(Part mine) {
  enum { NEAR = 512 << 10, EIGHTH = 8 };
  const char *far = mine.bytes + NEAR;
  size_t at = 0, farAt = 0, farCount = mine.count - NEAR;
  Vector b = {0}, c = {0};
  b += 0.999f;
  CHAIN_LOOP(Vector, c, a[i] * b + c, {
    c = *(const Vector *)(mine.bytes + at);
    at = (at + sizeof c) % NEAR;
    if (step % EIGHTH == 0) {
      c += *(const Vector *)(far + farAt);
      farAt = farAt + sizeof c < farCount ? farAt + sizeof c : 0;
    }
  })
  return 2.0 * LANES * CHAINS * (double)steps;
}

#ifdef __AVX512BF16__
static double bf16Products(Part none) {
  (void)none;
  __m512bh b = (__m512bh)_mm512_set1_epi32(0x3f803f80);
  CHAIN_LOOP(__m512, _mm512_setzero_ps(), _mm512_dpbf16_ps(a[i], b, b), )
  return 4.0 * LANES * CHAINS * (double)steps;
}
#endif

#ifdef __AVX512VNNI__
static double int8Products(Part none) {
  (void)none;
  __m512i b = _mm512_set1_epi32(0x01010101);
  CHAIN_LOOP(__m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(a[i], b, b), )
  return 8.0 * LANES * CHAINS * (double)steps;
}
#endif

static double clockOf(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double readBytes(Part part, int rounds) {
  Words sum[8] = {{0}};
  for (int round = 0; round < rounds; ++round)
    for (size_t at = 0; at + sizeof sum <= part.count; at += sizeof sum)
      _Pragma("clang loop unroll(full)") for (int i = 0; i < 8; ++i) sum[i] ^=
          *(const Words *)(part.bytes + at + sizeof(Words) * (size_t)i);
  for (int i = 0; i < 8; ++i)
    __asm__ volatile("" : "+" REGISTER(sum[i]));
  return (double)part.count * rounds;
}

/* What threads do together, again and again. */
typedef struct {
  double (*compute)(Part); /* or null: read the bytes `rounds` times */
  long handOver;           /* or so often around, if not 0 */
  const char *bytes;
  size_t count;
  int rounds, threads, runs;
  double *times; /* when each run began; of the last one also when it ended */
  atomic_llong *lost; /* or null: nanoseconds of a run that a thread did not
                         run, as it neither sleeps nor reads files */
  atomic_int arrived;
  atomic_long word;
} Work;

typedef struct {
  Work *work;
  int number;
  double done, seconds; /* seconds: of CPU */
} Thread;

/* Goes on when all threads are there. */
static void meet(Work *work, int run) {
  atomic_fetch_add(&work->arrived, 1);
  while (atomic_load(&work->arrived) < (run + 1) * work->threads)
    _mm_pause();
}

/* Whose turn it is follows from the word. Who waits for long may have the CPU
 * that the other one needs. */
static double handOver(Work *work, int number, int run) {
  for (long i = 0; i < work->handOver; ++i) {
    long mine = (run * work->handOver + i) * work->threads + number;
    for (int waits = 0; atomic_load(&work->word) != mine; ++waits)
      if (waits < 1000)
        _mm_pause();
      else
        sched_yield();
    atomic_store(&work->word, mine + 1);
  }
  return (double)work->handOver;
}

static double doPart(Work *work, int number, int run) {
  size_t share = work->count / (size_t)work->threads / 4096 * 4096;
  Part mine = {work->bytes + share * (size_t)number, share};
  return work->compute    ? work->compute(mine)
         : work->handOver ? handOver(work, number, run)
                          : readBytes(mine, work->rounds);
}

static void *participate(void *argument) {
  Thread *self = argument;
  Work *work = self->work;
  double began = 0, cpuBegan = 0;
  for (int run = 0;; ++run) {
    meet(work, run);
    double now = clockOf(CLOCK_MONOTONIC);
    double cpu = clockOf(CLOCK_THREAD_CPUTIME_ID);
    if (self->number == 0)
      work->times[run] = now;
    if (run && work->lost)
      work->lost[run - 1] +=
          (long long)((now - began - (cpu - cpuBegan)) * 1e9);
    if (run == work->runs)
      return NULL;
    self->done += doPart(work, self->number, run);
    self->seconds += clockOf(CLOCK_THREAD_CPUTIME_ID) - cpu;
    began = now, cpuBegan = cpu;
  }
}

/* Of all threads together: units of work per nanosecond of each thread's CPU
 * time, or of the clock. */
typedef struct {
  double ofCpu, ofClock;
} Rate;

static Rate perform(Work *work) {
  pthread_t ids[work->threads];
  Thread threads[work->threads];
  for (int i = 0; i < work->threads; ++i) {
    threads[i] = (Thread){work, i, 0, 0};
    pthread_create(&ids[i], NULL, participate, &threads[i]);
  }
  double done = 0, sum = 0;
  for (int i = 0; i < work->threads; ++i) {
    pthread_join(ids[i], NULL);
    done += threads[i].done;
    sum += threads[i].done / threads[i].seconds * 1e-9;
  }
  return (Rate){sum, done / (work->times[work->runs] - work->times[0]) * 1e-9};
}

/* The best of several tries. Arithmetic goes by CPU time, reading by the clock,
 * because threads compete for memory. Tries move through `total` bytes, `count`
 * of them each. */
static double rate(int threads, double (*compute)(Part), const char *bytes,
                   size_t total, size_t count, int rounds) {
  double best = 0;
  for (int attempt = 0; attempt < TRIES; ++attempt) {
    const char *from = bytes;
    if (total > count)
      from += (size_t)attempt * count % (total - count) / 4096 * 4096;
    double times[2];
    Work once = {.compute = compute,
                 .bytes = from,
                 .count = count,
                 .rounds = rounds,
                 .threads = threads,
                 .runs = 1,
                 .times = times};
    Rate reached = perform(&once);
    double achieved = compute ? reached.ofCpu : reached.ofClock;
    best = achieved > best ? achieved : best;
  }
  return best;
}

/* Does what the lines of the input ask for. */
static int answer(int threads, const char *bytes, size_t memory) {
  char kind;
  long amount;
  for (int runs; scanf("%d %c %ld", &runs, &kind, &amount) == 3;) {
    if (runs < 1 || amount < 1 || !strchr("crx", kind))
      return fprintf(stderr, "roofline: no such work\n"), 1;
    double times[runs + 1];
    atomic_llong lost[runs];
    memset(lost, 0, sizeof lost);
    Work work = {.bytes = bytes,
                 .count = memory,
                 .rounds = 1,
                 .threads = threads,
                 .runs = runs,
                 .times = times,
                 .lost = lost};
    if (kind == 'c') {
      work.compute = productSteps;
      steps = amount;
    } else if (kind == 'x') {
      work.handOver = amount;
    } else {
      work.rounds = (int)(((size_t)amount + memory - 1) / memory);
      work.count = (size_t)amount / (size_t)work.rounds;
    }
    perform(&work);
    for (int i = 0; i < runs; ++i)
      printf("%.4f %.4f%c", (times[i + 1] - times[i]) * 1e3,
             (double)lost[i] * 1e-6, i + 1 < runs ? ' ' : '\n');
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4)
    return fprintf(stderr, "usage: roofline THREADS [CACHE_BYTES] "
                           "MEMORY_BYTES\n"),
           2;
  int threads = atoi(argv[1]);
  size_t cache = argc == 4 ? strtoull(argv[2], NULL, 10) : 4096,
         memory = strtoull(argv[argc - 1], NULL, 10);
  char *bytes = mmap(NULL, memory, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (threads < 1 || cache < 4096 || memory < SLICE || bytes == MAP_FAILED)
    return fprintf(stderr, "roofline: bad sizes, or out of memory\n"), 1;
  madvise(bytes, memory, MADV_HUGEPAGE);
  memset(bytes, 1, memory);
  if (argc == 3)
    return answer(threads, bytes, memory);
  printf("{");
  for (int n = 1; n <= threads; ++n) {
    printf("%s\"%d\": {\"f32_gflops\": %.1f", n > 1 ? ", " : "", n,
           rate(n, multiplyAdds, NULL, 0, 0, 0));
#ifdef __AVX512BF16__
    printf(", \"bf16_gflops\": %.1f", rate(n, bf16Products, NULL, 0, 0, 0));
#endif
#ifdef __AVX512VNNI__
    printf(", \"int8_gops\": %.1f", rate(n, int8Products, NULL, 0, 0, 0));
#endif
    printf(", \"cache_gbs\": %.1f, \"memory_gbs\": %.1f}",
           rate(n, NULL, bytes, 0, cache, SLICE * 4 / (int)cache),
           rate(n, NULL, bytes, memory, SLICE, 1));
  }
  printf("}\n");
  return 0;
}
