/* Frame.h - what the driver function of a compiled program calls.
 *
 * Generated code calls these functions by name, so that their signatures are
 * part of the ABI like fulgur.h. Each returns 0, or the fulgur_status of a
 * failure whose message it has set; the driver then returns that status at
 * once. `node` is the sentence's beginning: "node 'x' (Op, opset N)".
 *
 * A slot holds a tensor, a sequence, an optional, or nothing. Values are shared
 * between slots and sequences by reference counts and never changed while
 * shared. An operand slot of -1 is an optional operand that the node does not
 * have. `to` may be among the operands.
 */
#ifndef FULGUR_FRAME_H
#define FULGUR_FRAME_H

#include "fulgur.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- parts and symbols ---- */

/* Plans part `part` with the frame's symbols, makes room for its outputs and
 * its arena, and runs it. */
FULGUR_API int32_t fulgur__part(fulgur_frame *frame, int32_t part);

/* symbols[symbol] = the size of dim `axis`, which may count from the end. */
FULGUR_API int32_t fulgur__define_dim(fulgur_frame *frame, int32_t symbol,
                                      int32_t slot, int32_t axis);

/* symbols[symbol] = element `element` of an integer or boolean tensor. */
FULGUR_API int32_t fulgur__define_value(fulgur_frame *frame, int32_t symbol,
                                        int32_t slot, int64_t element,
                                        const char *node);

/* ---- values ---- */

/* Shares the value of `from`; from -1 is fulgur__clear(). */
FULGUR_API int32_t fulgur__assign(fulgur_frame *frame, int32_t to,
                                  int32_t from);
FULGUR_API int32_t fulgur__clear(fulgur_frame *frame, int32_t slot);

/* The one element of an integer or boolean tensor. */
FULGUR_API int32_t fulgur__read(fulgur_frame *frame, int32_t slot, int64_t *out,
                                const char *node);

/* Makes a tensor of one element, of rank 0 or 1 (or more). */
FULGUR_API int32_t fulgur__write(fulgur_frame *frame, int32_t slot,
                                 int32_t dtype, int32_t rank, int64_t value);

/* Is a value that comes from a sequence, an optional or a loop's state what the
 * compiler assumed? `rank` -1 is any. */
FULGUR_API int32_t fulgur__check(fulgur_frame *frame, int32_t slot,
                                 int32_t dtype, int32_t rank, const char *node);

/* The size of one dim; `axis` may count from the end. */
FULGUR_API int32_t fulgur__extent(fulgur_frame *frame, int32_t slot,
                                  int32_t axis, int64_t *out, const char *node);

/* The slice at `index`, counted from 0, of `axis`, without that axis. */
FULGUR_API int32_t fulgur__take(fulgur_frame *frame, int32_t to, int32_t from,
                                int32_t axis, int64_t index, const char *node);

/* ---- sequences; positions are integer tensors and may count from the end ----
 */

FULGUR_API int32_t fulgur__sequence_empty(fulgur_frame *frame, int32_t to,
                                          int32_t dtype);
FULGUR_API int32_t fulgur__sequence_construct(fulgur_frame *frame, int32_t to,
                                              const int32_t *slots,
                                              int32_t count);
/* At the end when `position` is -1. */
FULGUR_API int32_t fulgur__sequence_insert(fulgur_frame *frame, int32_t to,
                                           int32_t sequence, int32_t value,
                                           int32_t position, const char *node);
/* The last one when `position` is -1. */
FULGUR_API int32_t fulgur__sequence_erase(fulgur_frame *frame, int32_t to,
                                          int32_t sequence, int32_t position,
                                          const char *node);
FULGUR_API int32_t fulgur__sequence_at(fulgur_frame *frame, int32_t to,
                                       int32_t sequence, int32_t position,
                                       const char *node);
/* Adds at the end, in place while nobody shares the sequence; a slot that holds
 * nothing counts as an empty sequence. */
FULGUR_API int32_t fulgur__sequence_append(fulgur_frame *frame,
                                           int32_t sequence, int32_t value);
/* The same at the front (the outputs of a Scan that goes backwards). */
FULGUR_API int32_t fulgur__sequence_prepend(fulgur_frame *frame,
                                            int32_t sequence, int32_t value);
/* An int64 scalar tensor. */
FULGUR_API int32_t fulgur__sequence_length(fulgur_frame *frame, int32_t to,
                                           int32_t sequence, const char *node);

/* ConcatFromSequence. */
FULGUR_API int32_t fulgur__concat(fulgur_frame *frame, int32_t to,
                                  int32_t sequence, int32_t axis,
                                  int32_t new_axis, int32_t dtype,
                                  const char *node);

/* The elements of a sequence along a new axis (the scan outputs of loops).
 * `rank` and `dims` are an element's; they count only when there is none, and a
 * dim of -1 is then 0. `axis` may count from the end of the result's. */
FULGUR_API int32_t fulgur__stack(fulgur_frame *frame, int32_t to,
                                 int32_t sequence, int32_t axis, int32_t dtype,
                                 int32_t rank, const int64_t *dims,
                                 const char *node);

/* SplitToSequence: `split` is an integer tensor, a scalar (the size of each
 * piece, the last may be smaller) or a vector (all sizes), or -1 (pieces of
 * one, without the axis unless `keepdims`). */
FULGUR_API int32_t fulgur__split(fulgur_frame *frame, int32_t to, int32_t from,
                                 int32_t split, int32_t axis, int32_t keepdims,
                                 const char *node);

/* ---- optionals; a tensor or sequence stands for an optional that has it ----
 */

FULGUR_API int32_t fulgur__optional(fulgur_frame *frame, int32_t to,
                                    int32_t from);
FULGUR_API int32_t fulgur__optional_get(fulgur_frame *frame, int32_t to,
                                        int32_t from, const char *node);
/* A boolean scalar tensor. */
FULGUR_API int32_t fulgur__optional_has(fulgur_frame *frame, int32_t to,
                                        int32_t from, const char *node);

/* ---- strings ---- */

/* StringConcat and Equal, with broadcasting. */
FULGUR_API int32_t fulgur__string_concat(fulgur_frame *frame, int32_t to,
                                         int32_t a, int32_t b,
                                         const char *node);
FULGUR_API int32_t fulgur__string_equal(fulgur_frame *frame, int32_t to,
                                        int32_t a, int32_t b, const char *node);

/* StringSplit: `counts` (int64) may be -1; `delimiter` NULL or "" splits at
 * runs of white space; `maxsplit` is negative when there is no limit. */
FULGUR_API int32_t fulgur__string_split(fulgur_frame *frame, int32_t to,
                                        int32_t counts, int32_t x,
                                        const char *delimiter, int64_t maxsplit,
                                        const char *node);

/* A constant: the strings one after the other in `text`, whose lengths are in
 * `bytes`. The text is not copied. */
FULGUR_API int32_t fulgur__string_constant(fulgur_frame *frame, int32_t to,
                                           const char *text,
                                           const int64_t *bytes, int32_t rank,
                                           const int64_t *dims,
                                           const char *node);

/* StringNormalizer: `stopwords` are strings or -1; `action` is 0 (none), 1
 * (lower), 2 (upper). */
FULGUR_API int32_t fulgur__string_normalize(fulgur_frame *frame, int32_t to,
                                            int32_t x, int32_t stopwords,
                                            int32_t action, int32_t sensitive,
                                            const char *node);

/* RegexFullMatch, a boolean tensor; see Regex.h for the syntax. */
FULGUR_API int32_t fulgur__string_match(fulgur_frame *frame, int32_t to,
                                        int32_t x, const char *pattern,
                                        const char *node);

/* Cast from and to strings. */
FULGUR_API int32_t fulgur__string_to(fulgur_frame *frame, int32_t to, int32_t x,
                                     int32_t dtype, const char *node);
FULGUR_API int32_t fulgur__string_from(fulgur_frame *frame, int32_t to,
                                       int32_t x, const char *node);

/* ZipMap: a sequence of maps, one for each row of x. Every map has the elements
 * of `keys` as its keys, one for each column. A vector is one row. */
FULGUR_API int32_t fulgur__zip_map(fulgur_frame *frame, int32_t to, int32_t x,
                                   int32_t keys, const char *node);

/* LabelEncoder and the like: replaces each element of x, equal to keys[i], by
 * values[i], and others by the one element of `fallback`. Keys have x's type;
 * strings are compared by their text, numbers by their bits, but all NaN are
 * equal and so are both zeros. The first of equal keys counts. */
FULGUR_API int32_t fulgur__string_find(fulgur_frame *frame, int32_t to,
                                       int32_t x, int32_t keys, int32_t values,
                                       int32_t fallback, const char *node);

#ifdef __cplusplus
}
#endif
#endif /* FULGUR_FRAME_H */
