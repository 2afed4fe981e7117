/* Compares sentences by meaning, with all-MiniLM-L6-v2 compiled to a C library:
 * minilm TOKENS EMBEDDINGS
 *
 * TOKENS is what encode.py writes: per line the number of tokens, the tokens,
 * the sentence. All sentences run as one batch; their embeddings (float32, one
 * row of 384 per sentence) are written to EMBEDDINGS. Then the latency is
 * measured.
 */
#include "minilm.h"

#include <fulgur.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  MaxSentences = 64,
  MaxTokens = 256,
  Size = 384,
  TimedTokens = 128,
  TimedRuns = 30
};

typedef struct {
  int64_t ids[MaxTokens];
  int count;
  char text[256];
} Sentence;

/* The three inputs of the model, row by row, and all the memory that a run of
 * them needs. */
typedef struct {
  int64_t *ids, *mask, *types;
  fulgur_tensor inputs[3], output;
  fulgur_context context;
} Batch;

static void die(const char *what, const char *why) {
  fprintf(stderr, "minilm: error: %s: %s\n", what, why);
  exit(1);
}

static void check(fulgur_status status) {
  if (status != FULGUR_OK)
    die(fulgur_status_name(status), fulgur_last_message());
}

static void *allocate(size_t bytes) {
  size_t rounded =
      (bytes + FULGUR_ALIGNMENT) / FULGUR_ALIGNMENT * FULGUR_ALIGNMENT;
  void *memory = aligned_alloc(FULGUR_ALIGNMENT, rounded);
  if (!memory)
    die("memory", "there is not enough");
  return memset(memory, 0, rounded);
}

static int read_sentences(const char *path, Sentence *sentences) {
  FILE *file = fopen(path, "r");
  if (!file)
    die(path, "cannot be read");
  int n = 0;
  for (; n < MaxSentences && fscanf(file, "%d", &sentences[n].count) == 1;
       ++n) {
    Sentence *s = &sentences[n];
    if (s->count < 1 || s->count > MaxTokens)
      die(path, "a sentence has no tokens, or too many");
    for (int i = 0; i < s->count; ++i)
      if (fscanf(file, "%lld", (long long *)&s->ids[i]) != 1)
        die(path, "a token is missing");
    if (fscanf(file, " %255[^\n]", s->text) != 1)
      die(path, "a sentence is missing");
  }
  fclose(file);
  return n;
}

static fulgur_tensor tensor(void *data, fulgur_dtype dtype, int64_t rows,
                            int64_t columns) {
  fulgur_tensor t = {0};
  t.data = data;
  t.bytes = (size_t)(rows * columns) * fulgur_dtype_bytes(dtype);
  t.dtype = dtype;
  t.rank = 2;
  t.dims[0] = rows;
  t.dims[1] = columns;
  return t;
}

static Batch make_batch(int rows, int columns) {
  Batch b = {0};
  int64_t **parts[] = {&b.ids, &b.mask, &b.types};
  for (int i = 0; i < 3; ++i) {
    *parts[i] = allocate((size_t)rows * columns * sizeof(int64_t));
    b.inputs[i] = tensor(*parts[i], FULGUR_INT64, rows, columns);
  }
  b.output = tensor(allocate((size_t)rows * Size * sizeof(float)),
                    FULGUR_FLOAT32, rows, Size);
  fulgur_context_init(&b.context);
  check(
      fulgur_plan(&minilm_model, b.inputs, 3, NULL, 0, &b.context.arena_bytes));
  b.context.arena = allocate(b.context.arena_bytes);
  return b;
}

static void free_batch(Batch *b) {
  free(b->ids), free(b->mask), free(b->types), free(b->output.data),
      free(b->context.arena);
}

/* One run; what the model needs was allocated before, so this neither allocates
 * nor locks. */
static void run(Batch *b) {
  check(fulgur_run(&minilm_model, &b->context, b->inputs, 3, &b->output, 1));
}

static void set_row(Batch *b, int row, const Sentence *s) {
  int64_t columns = b->inputs[0].dims[1];
  for (int64_t i = 0; i < columns; ++i) {
    b->ids[row * columns + i] = i < s->count ? s->ids[i] : 0;
    b->mask[row * columns + i] = i < s->count;
  }
}

static void print_table(const Sentence *sentences, int n,
                        const float *embeddings) {
  printf("  cosine similarity\n  ");
  for (int j = 0; j < n; ++j)
    printf("   %d  ", j + 1);
  printf("\n");
  for (int i = 0; i < n; ++i) {
    printf("  ");
    for (int j = 0; j < n; ++j) {
      double dot = 0; /* the embeddings have length one */
      for (int k = 0; k < Size; ++k)
        dot += (double)embeddings[i * Size + k] * embeddings[j * Size + k];
      printf("%5.2f ", dot);
    }
    printf("  %d  %s\n", i + 1, sentences[i].text);
  }
}

static double now(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

/* The median of many runs of one text of 128 tokens, in milliseconds. */
static double median_latency(fulgur_executor *executor) {
  Batch b = make_batch(1, TimedTokens);
  b.context.executor = executor;
  for (int i = 0; i < TimedTokens; ++i)
    b.ids[i] = 1000 + 37 * i, b.mask[i] = 1;
  double times[TimedRuns];
  run(&b), run(&b);
  for (int i = 0; i < TimedRuns; ++i) {
    double start = now();
    run(&b);
    times[i] = now() - start;
  }
  free_batch(&b);
  qsort(times, TimedRuns, sizeof *times, by_value);
  return times[TimedRuns / 2];
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: minilm TOKENS EMBEDDINGS\n");
    return 2;
  }
  static Sentence sentences[MaxSentences];
  int n = read_sentences(argv[1], sentences), longest = 0;
  for (int i = 0; i < n; ++i)
    longest = sentences[i].count > longest ? sentences[i].count : longest;

  Batch batch = make_batch(n, longest);
  for (int i = 0; i < n; ++i)
    set_row(&batch, i, &sentences[i]);
  run(&batch);
  print_table(sentences, n, batch.output.data);

  FILE *out = fopen(argv[2], "wb");
  if (!out ||
      fwrite(batch.output.data, sizeof(float) * Size, (size_t)n, out) !=
          (size_t)n ||
      fclose(out))
    die(argv[2], "cannot be written");
  free_batch(&batch);

  fulgur_executor *pool = fulgur_pool_create(0);
  if (!pool)
    die("threads", "there is not enough memory");
  printf("\n  latency of one text of %d tokens, median of %d runs\n",
         TimedTokens, TimedRuns);
  printf("  Fulgur, 1 thread            %7.2f ms\n", median_latency(NULL));
  printf("  Fulgur, all threads         %7.2f ms\n", median_latency(pool));
  fulgur_pool_destroy(pool);
  return 0;
}
