/* fulgur.h - the C ABI between a compiled model, the product that links it, and
 * generic tools.
 *
 * Part of Fulgur, under the Apache License v2.0 with LLVM Exceptions.
 * SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
 *
 * A model compiled by fulgurc is one object file with one descriptor, `const
 * fulgur_model <prefix>_model`, and typed wrappers in its own header.
 * Everything here is plain C.
 *
 * There are two kinds of models. A plain model's sizes all follow from its
 * inputs' dims, so fulgur_plan() tells them, the caller owns all memory, and no
 * allocation, lock, file or system call happens inside fulgur_run() unless the
 * executor that the caller chose does it. A model with control flow, sizes that
 * depend on data, sequences, optionals or strings that it makes itself is a
 * program (fulgur_model.program is not NULL): fulgur_run() then takes memory
 * from the context's allocator, and the caller may leave the outputs' memory to
 * it too (see fulgur_tensor and fulgur_release()).
 *
 * Threads: descriptors are constant and may be shared. A context belongs to one
 * run at a time; use one per thread.
 */
#ifndef FULGUR_H
#define FULGUR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FULGUR_ABI_VERSION 1u
#define FULGUR_MAX_RANK 8
#define FULGUR_MAX_PORTS                                                       \
  512 /* inputs, outputs and symbols: at most so many of each */
#define FULGUR_ALIGNMENT                                                       \
  64 /* bytes; of the arena, and of every weight within the weights segment */

#ifndef FULGUR_API
#define FULGUR_API
#endif

/* What a call came to. fulgur_last_message() has the sentence that goes with
 * it. */
typedef enum fulgur_status {
  FULGUR_OK = 0,
  FULGUR_INVALID_ARGUMENT =
      1, /* a null pointer, a wrong struct size, a misaligned arena or tensor */
  FULGUR_INVALID_COUNT = 2, /* wrong number of inputs or outputs */
  FULGUR_INVALID_DTYPE = 3,
  FULGUR_INVALID_RANK = 4,
  FULGUR_INVALID_DIMS = 5,     /* a dim differs from the model's, is out of its
                                  range, or contradicts another */
  FULGUR_BUFFER_TOO_SMALL = 6, /* a tensor's buffer or the arena */
  FULGUR_INVALID_VALUE = 7, /* found while running, for example an index outside
                               its axis; names the node */
  FULGUR_UNSUPPORTED_CPU =
      8, /* this CPU lacks instructions the model was compiled for */
  FULGUR_INVALID_WEIGHTS = 9, /* the weights file is missing, of the wrong size,
                                 or not this model's */
  FULGUR_VERSION_MISMATCH =
      10,                   /* the model was compiled for another ABI version */
  FULGUR_OUT_OF_MEMORY = 11 /* an allocator, or the system, gave nothing */
} fulgur_status;

/* Element types, with ONNX's TensorProto.DataType numbers, and the two kinds of
 * values that hold tensors. */
typedef enum fulgur_dtype {
  FULGUR_FLOAT32 = 1,
  FULGUR_UINT8 = 2,
  FULGUR_INT8 = 3,
  FULGUR_UINT16 = 4,
  FULGUR_INT16 = 5,
  FULGUR_INT32 = 6,
  FULGUR_INT64 = 7,
  FULGUR_STRING = 8, /* elements are fulgur_string */
  FULGUR_BOOL = 9,
  FULGUR_FLOAT16 = 10,
  FULGUR_FLOAT64 = 11,
  FULGUR_UINT32 = 12,
  FULGUR_UINT64 = 13,
  FULGUR_BFLOAT16 = 16,
  /* One byte an element. */
  FULGUR_FLOAT8E4M3FN = 17,
  FULGUR_FLOAT8E4M3FNUZ = 18,
  FULGUR_FLOAT8E5M2 = 19,
  FULGUR_FLOAT8E5M2FNUZ = 20,
  FULGUR_FLOAT8E8M0 = 24,
  /* Packed as in ONNX's raw data: element after element without gaps, each from
   * the low bits of a byte to the high ones; bits behind the last are 0. */
  FULGUR_UINT4 = 21,
  FULGUR_INT4 = 22,
  FULGUR_FLOAT4E2M1 = 23,
  FULGUR_UINT2 = 25,
  FULGUR_INT2 = 26,
  FULGUR_FLOAT6E2M3 = 27,
  FULGUR_FLOAT6E3M2 = 28,
  FULGUR_SEQUENCE = 100, /* rank 1; elements are fulgur_tensor, dims[0] many */
  FULGUR_OPTIONAL = 101, /* the same with none or one */
  FULGUR_MAP = 102 /* the same with two, both of rank 1: the keys, and the value
                      of each */
} fulgur_dtype;

#ifdef __cplusplus
#define FULGUR_ALIGNAS(bytes) alignas(bytes)
#else
#define FULGUR_ALIGNAS(bytes) _Alignas(bytes)
#endif

/* One element of a string tensor: UTF-8, not terminated. `data` may be NULL
 * when `bytes` is 0. */
typedef struct fulgur_string {
  FULGUR_ALIGNAS(16) const char *data; /* generated code copies it in one go */
  size_t bytes;
} fulgur_string;

/* A dense row-major tensor owned by the caller; or a sequence, optional or map,
 * whose `data` is an array of the fulgur_tensors in it. Inputs are only read,
 * but for states (fulgur_state).
 * For outputs the caller gives `data` and `bytes` (the buffer's capacity) and
 * fulgur_run() writes dtype, rank and dims. Where a dim of an output depends on
 * the data of the inputs, such as the number of elements that are not zero, the
 * capacity must suffice for the upper bound that fulgur_plan() tells, and the
 * elements are dense in the dims that fulgur_run() writes.
 *
 * Outputs of a program may have `data` NULL: fulgur_run() then allocates them,
 * sets `data` (NULL when there is nothing to hold) and `bytes`, and
 * fulgur_release() gives them back. Sequences, optionals, maps and strings must
 * be taken like this, for they are made of many pieces. An output's buffer that
 * is too small makes FULGUR_BUFFER_TOO_SMALL, with all outputs' dims written.
 */
typedef struct fulgur_tensor {
  void *data;   /* aligned to its element */
  size_t bytes; /* size of the buffer at data */
  fulgur_dtype dtype;
  int32_t rank;
  int64_t dims[FULGUR_MAX_RANK];
} fulgur_tensor;

/* Runs task(argument, i) for every i in [0, count), in any order and on any
 * threads, and returns when all are done. */
typedef void (*fulgur_task)(void *argument, int64_t i);
typedef struct fulgur_executor {
  void (*parallel_for)(struct fulgur_executor *self, int64_t count,
                       fulgur_task task, void *argument);
} fulgur_executor;

/* One dim of an input or output. */
typedef struct fulgur_dim {
  int64_t value;  /* the size, or -1 when it depends on the symbols */
  int32_t symbol; /* inputs, and outputs of programs: index of the symbol that
                     this dim is, or -1 */
  const char
      *text; /* as in the model: "384", "batch", "past_sequence + sequence" */
} fulgur_dim;

typedef struct fulgur_port {
  const char *name; /* the ONNX name */
  fulgur_dtype dtype;
  int32_t rank; /* -1: any, and `dims` is NULL (elements of sequences and
                   optionals, outputs of programs) */
  const fulgur_dim *dims;
  const struct fulgur_port *element; /* sequences and optionals: what they hold;
                                        else NULL, also for maps */
} fulgur_port;

/* Where a symbol's value comes from. */
typedef enum fulgur_symbol_source {
  FULGUR_FROM_DIM = 0,   /* a dim of an input */
  FULGUR_FROM_VALUE = 1, /* one element of an integer input */
  FULGUR_FROM_RUN = 2    /* found while a program runs: fulgur_plan() does not
                            know it, and writes -1 for output dims that need it */
} fulgur_symbol_source;

/* An input and an output that are one buffer, which the caller owns and keeps
 * from run to run: its state. Both tensors must be given the same data. A run
 * reads what is in use of it, and changes what the output has that the input
 * has not; the rest stays as it is. A run that fails may have changed it. */
typedef struct fulgur_state {
  int32_t input, output; /* indices */
} fulgur_state;

/* A symbolic size and the range the model was compiled for. */
typedef struct fulgur_symbol {
  const char *name;
  int64_t min, max; /* inclusive; max is INT64_MAX when unbounded */
  int32_t source;   /* fulgur_symbol_source */
  int32_t input;    /* FULGUR_FROM_VALUE: index of the input, else 0 */
  int64_t element;  /* FULGUR_FROM_VALUE: index of its element, else 0 */
} fulgur_symbol;

/* What the generated code gets for one run. Its layout is part of the ABI
 * between runtime and generated code. */
typedef struct fulgur_call {
  const int64_t *symbols; /* [n_symbols] */
  void *const *inputs;    /* [n_inputs] data pointers */
  void *const *outputs;   /* [n_outputs] data pointers */
  char *arena;
  const char *weights;
  void (*parallel_for)(fulgur_executor *self, int64_t count, fulgur_task task,
                       void *argument);
  fulgur_executor *executor;
  int64_t *output_dims; /* of all outputs, one after the other, as plan wrote
                           them: upper bounds where they depend on data, which
                           the run overwrites with the actual sizes */
} fulgur_call;

/* The values of a program while it runs; known to the runtime only. */
typedef struct fulgur_frame fulgur_frame;

/* A straight piece of a program, planned and run like a plain model. */
typedef struct fulgur_part {
  int32_t n_inputs, n_outputs, n_messages;
  const int32_t *inputs, *outputs; /* slots of the frame; -1: an operand that is
                                      left out, an output nobody needs */
  const fulgur_port *ports; /* of the outputs: dtype, rank; names may be NULL */
  const char *const *messages; /* as in fulgur_model, for plan and run below */
  int32_t (*plan)(const int64_t *symbols, int64_t *arena_bytes,
                  int64_t *output_dims);
  int32_t (*run)(const fulgur_call *call);
} fulgur_part;

/* What makes a model a program: its parts, and a native function that runs them
 * with the branches and loops between them. Values that live longer than one
 * part are in the slots of a frame; inputs are slots 0 .. n_inputs - 1. The
 * model's symbols serve all parts. */
typedef struct fulgur_program {
  int32_t n_slots, n_parts;
  const fulgur_part *parts;
  const int32_t *output_slots;           /* [n_outputs] */
  int32_t (*drive)(fulgur_frame *frame); /* 0, or the fulgur_status of the
                                            runtime's function that failed */
} fulgur_program;

/* The code of a model for one kind of CPU. Models that are compiled for several
 * kinds have one of these for each; all share one weights segment. */
typedef struct fulgur_variant {
  const char *name;      /* as on the compiler's command line: "v3" */
  uint64_t cpu_features; /* FULGUR_CPU_* that the code uses */
  uint64_t arena_bytes;  /* these are as in fulgur_model */
  int32_t n_messages;
  const char *const *messages;
  int32_t (*plan)(const int64_t *symbols, int64_t *arena_bytes,
                  int64_t *output_dims);
  int32_t (*run)(const fulgur_call *call);
  const fulgur_program *program;
} fulgur_variant;

/* A compiled model. Constant data; every pointer is valid as long as the
 * library is loaded. */
typedef struct fulgur_model {
  uint32_t abi_version;
  uint32_t struct_bytes;
  const char *name;
  const char *producer; /* "fulgurc 0.1 (LLVM 22.1.8)" */
  const char *target;   /* "x86_64-unknown-linux-gnu x86-64-v3" */
  int32_t n_inputs, n_outputs, n_symbols, n_messages;
  const fulgur_port *inputs;
  const fulgur_port *outputs;
  const fulgur_symbol *symbols;
  const char *const
      *messages; /* one for each 1-based number that plan and run can return */
  const void *embedded_weights; /* NULL when the weights are a file */
  uint64_t weights_bytes;
  uint64_t weights_hash; /* XXH64, seed 0, of the segment */
  uint64_t cpu_features; /* FULGUR_CPU_* that the code uses */
  uint64_t stack_bytes;  /* upper bound of the stack used by one thread inside a
                            run */
  uint64_t arena_bytes;  /* constant, or 0 when it depends on the symbols */
  /* Pure function of the symbols: writes the arena's size (negative when it
   * does not fit an int64) and all outputs' dims, one output after the other;
   * those that depend on data as their upper bounds. Returns 0, or the number
   * of the message that says which requirement between the symbols does not
   * hold. */
  int32_t (*plan)(const int64_t *symbols, int64_t *arena_bytes,
                  int64_t *output_dims);
  /* Returns 0, or the number of the message that names the node that met a bad
   * value. */
  int32_t (*run)(const fulgur_call *call);
  const fulgur_program *program; /* NULL for a plain model; else plan and run
                                    are NULL and arena_bytes is 0 */
  /* When the model is compiled for several kinds of CPUs: the code for each,
   * the most demanding first. Every call takes the first that the CPU can run.
   * The last one is what plan, run, program and cpu_features above say;
   * stack_bytes and arena_bytes suffice for all. Else 0 and NULL. */
  int32_t n_variants;
  const fulgur_variant *variants;
  int32_t n_states;
  const fulgur_state *states;
} fulgur_model;

/* fulgur_model.cpu_features: of x86-64, and below of AArch64. */
enum {
  FULGUR_CPU_AVX = 1 << 0,
  FULGUR_CPU_AVX2 = 1 << 1,
  FULGUR_CPU_FMA = 1 << 2,
  FULGUR_CPU_F16C = 1 << 3,
  FULGUR_CPU_AVX512F = 1 << 4,
  FULGUR_CPU_AVX512BW = 1 << 5,
  FULGUR_CPU_AVX512DQ = 1 << 6,
  FULGUR_CPU_AVX512VL = 1 << 7,
  FULGUR_CPU_AVX512VNNI = 1 << 8,
  FULGUR_CPU_AVX512BF16 = 1 << 9,
  FULGUR_CPU_SSE42 = 1 << 10,
  FULGUR_CPU_SSE3 = 1 << 11,
  FULGUR_CPU_SSSE3 = 1 << 12,
  FULGUR_CPU_SSE41 = 1 << 13,
  FULGUR_CPU_POPCNT = 1 << 14,
  FULGUR_CPU_LZCNT = 1 << 15,
  FULGUR_CPU_BMI = 1 << 16,
  FULGUR_CPU_BMI2 = 1 << 17,
  FULGUR_CPU_MOVBE = 1 << 18,
  FULGUR_CPU_AVX512CD = 1 << 19,
  FULGUR_CPU_AVX512IFMA = 1 << 20,
  FULGUR_CPU_AVX512VBMI = 1 << 21,
  FULGUR_CPU_AVX512VBMI2 = 1 << 22,
  FULGUR_CPU_AVX512BITALG = 1 << 23,
  FULGUR_CPU_AVX512VPOPCNT = 1 << 24,
  FULGUR_CPU_AVX512FP16 = 1 << 25,
  FULGUR_CPU_GFNI = 1 << 26,
  FULGUR_CPU_AVXVNNI = 1 << 27,
  FULGUR_CPU_AMX_TILE = 1 << 28,
  FULGUR_CPU_AMX_INT8 = 1 << 29,
  FULGUR_CPU_AMX_BF16 = 1 << 30
};
enum {
  FULGUR_CPU_ARM_FP16 = 1 << 0,
  FULGUR_CPU_ARM_RDM = 1 << 1,
  FULGUR_CPU_ARM_JSCVT = 1 << 2,
  FULGUR_CPU_ARM_FCMA = 1 << 3,
  FULGUR_CPU_ARM_DOTPROD = 1 << 4,
  FULGUR_CPU_ARM_SVE = 1 << 5,
  FULGUR_CPU_ARM_FHM = 1 << 6,
  FULGUR_CPU_ARM_SVE2 = 1 << 7,
  FULGUR_CPU_ARM_FRINT = 1 << 8,
  FULGUR_CPU_ARM_I8MM = 1 << 9,
  FULGUR_CPU_ARM_BF16 = 1 << 10
};

/* Where programs take memory. Both functions must be safe to call from every
 * thread that runs a model with this allocator. */
typedef struct fulgur_allocator {
  /* `bytes` > 0, `alignment` a power of two, at most FULGUR_ALIGNMENT. NULL
   * when there is none; the run then ends with FULGUR_OUT_OF_MEMORY. */
  void *(*allocate)(struct fulgur_allocator *self, size_t bytes,
                    size_t alignment);
  void (*release)(struct fulgur_allocator *self, void *pointer, size_t bytes);
} fulgur_allocator;

/* What a run may use. Fill it with fulgur_context_init(), then set what you
 * need; it owns nothing. */
typedef struct fulgur_context {
  uint32_t struct_bytes;
  uint32_t reserved;
  void *arena; /* FULGUR_ALIGNMENT-aligned scratch memory; its content need not
                  survive between runs */
  size_t arena_bytes;
  const void *weights; /* the mapped weights file; NULL for embedded weights */
  size_t weights_bytes;
  fulgur_executor *executor;   /* NULL: everything runs on the calling thread */
  fulgur_allocator *allocator; /* of programs; NULL: libc's */
} fulgur_context;

/* Sets every field to "none" and the struct's size. */
FULGUR_API void fulgur_context_init(fulgur_context *context);

/* Checks count, dtypes, ranks and dims of the inputs (their data must be there,
 * and are read, only where symbols are FULGUR_FROM_VALUE); writes
 * the arena's size when `arena_bytes` is not NULL and, when `outputs` is not
 * NULL, each output's dtype, rank and dims (data and bytes are left alone). A
 * dim that depends on data is told as its upper bound. This is how a caller
 * learns how much to allocate. For a program the arena's
 * size is 0 (a larger arena in the context is used where it suffices), and dims
 * that only the run can tell are -1; a rank that only the run can tell is too.
 */
FULGUR_API fulgur_status fulgur_plan(const fulgur_model *model,
                                     const fulgur_tensor *inputs,
                                     int32_t n_inputs, fulgur_tensor *outputs,
                                     int32_t n_outputs, size_t *arena_bytes);

/* Runs the model once. Everything is checked first (see fulgur_status); outputs
 * are written only after the checks. The weights are the context's when it has
 * some, else those embedded in the model. */
FULGUR_API fulgur_status fulgur_run(const fulgur_model *model,
                                    const fulgur_context *context,
                                    const fulgur_tensor *inputs,
                                    int32_t n_inputs, fulgur_tensor *outputs,
                                    int32_t n_outputs);

/* Gives back the memory of an output that fulgur_run() allocated, with all that
 * is in it, and sets `data` and `bytes` to 0. `context` must have the allocator
 * of that run. Nothing happens when `tensor` or its data is NULL. */
FULGUR_API void fulgur_release(const fulgur_context *context,
                               fulgur_tensor *tensor);

/* The FULGUR_CPU_* features that the CPU and its operating system have, less
 * those that fulgur_limit_cpu() withholds. */
FULGUR_API uint64_t fulgur_cpu_features(void);
/* From now on models in this process use no CPU features but those in
 * `features` (UINT64_MAX, as at first: all there are), for tests of models that
 * are compiled for several kinds of CPUs. Plans made before do not hold any
 * more: variants need arenas of different sizes. */
FULGUR_API void fulgur_limit_cpu(uint64_t features);
/* Which code a run would use now: the name of the variant, or the model's
 * target when it has no variants; NULL when this CPU can run none. */
FULGUR_API const char *fulgur_chosen_variant(const fulgur_model *model);

/* Bytes of one element; 0 for an unknown type and for packed ones. */
FULGUR_API size_t fulgur_dtype_bytes(fulgur_dtype dtype);
/* Bytes of so many elements, packed ones too; 0 for an unknown type, and when
 * the bytes do not fit a size_t. */
FULGUR_API size_t fulgur_storage_bytes(fulgur_dtype dtype, size_t elements);
FULGUR_API const char *fulgur_dtype_name(fulgur_dtype dtype); /* "float32" */

/* A short name of a status, and the sentence about the last failing call on
 * this thread ("" if none). */
FULGUR_API const char *fulgur_status_name(fulgur_status status);
FULGUR_API const char *fulgur_last_message(void);

/* The default executor: `threads` threads in all, the calling one among them
 * (0: one per CPU this process may use). Each begins with its share of the
 * tasks and goes on with those of others; tasks are claimed one by one, so a
 * thread that the system does not schedule delays nobody. While the pool is
 * busy with one loop, loops from inside its tasks or from other threads run on
 * the thread that asks. NULL when out of memory or threads. Destroy a pool only
 * when no run uses it. */
FULGUR_API fulgur_executor *fulgur_pool_create(int32_t threads);
FULGUR_API void fulgur_pool_destroy(fulgur_executor *pool);

/* A weights file is this header (little-endian), zeros up to `header_bytes`,
 * and the weights segment up to the end of the file.
 * FULGUR_WEIGHTS_HEADER_BYTES keeps the segment page-aligned in a mapping of
 * the whole file. */
#define FULGUR_WEIGHTS_MAGIC "FULGURW1"
#define FULGUR_WEIGHTS_VERSION 1u
#define FULGUR_WEIGHTS_HEADER_BYTES 4096u
typedef struct fulgur_weights_header {
  char magic[8];
  uint32_t version;
  uint32_t
      header_bytes; /* where the segment starts: FULGUR_WEIGHTS_HEADER_BYTES */
  uint64_t payload_bytes; /* fulgur_model.weights_bytes */
  uint64_t hash; /* fulgur_model.weights_hash: XXH64, seed 0, of the segment */
  uint8_t reserved[32]; /* zeros */
} fulgur_weights_header;

/* Maps a weights file for `model` read-only and checks its size and header;
 * with `verify`, also the hash of the segment itself (which reads all of it).
 * `weights` and `weights_bytes` are what fulgur_context wants. */
FULGUR_API fulgur_status fulgur_weights_map(const fulgur_model *model,
                                            const char *path, int verify,
                                            const void **weights,
                                            size_t *weights_bytes);
/* The same, but reads the segment into memory of this process's own, in huge
 * pages where the system has them: loading costs time and the memory is shared
 * with nobody, but runs that read all weights, such as a decoder's steps, do so
 * faster than from a mapping with its small pages. FULGUR_OUT_OF_MEMORY when
 * there is no room. */
FULGUR_API fulgur_status fulgur_weights_load(const fulgur_model *model,
                                             const char *path, int verify,
                                             const void **weights,
                                             size_t *weights_bytes);
/* Gives back what fulgur_weights_map() or fulgur_weights_load() gave. */
FULGUR_API void fulgur_weights_unmap(const void *weights, size_t weights_bytes);

#ifdef __cplusplus
}
#endif
#endif /* FULGUR_H */
