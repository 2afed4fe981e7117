// Mapping by a table, for LabelEncoder, CategoryMapper and the like:
// https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html
#include "Text.h"

/// The keys of a table, in an open-addressing hash table of their indices.
typedef struct table {
  int32_t dtype;
  const void *keys;
  uint64_t mask;   ///< places - 1
  int64_t *places; ///< index of a key + 1, 0 for none
} table;

/// Element `i` as bits that are equal where elements are.
static uint64_t bits_of(int32_t dtype, const void *data, int64_t i) {
  size_t bytes = fulgur_dtype_bytes((fulgur_dtype)dtype);
  uint64_t bits = 0;
  memcpy(&bits, (const char *)data + (size_t)i * bytes, bytes);
  // In every floating-point type a zero has no bits but the sign, and a NaN is
  // what differs from itself.
  if (dtype == FULGUR_FLOAT32) {
    float x = ((const float *)data)[i];
    return x != x ? UINT64_MAX : x == 0 ? 0 : bits;
  }
  if (dtype == FULGUR_FLOAT64) {
    double x = ((const double *)data)[i];
    return x != x ? UINT64_MAX : x == 0 ? 0 : bits;
  }
  return bits;
}

/// FNV-1a of a string (www.isthe.com/chongo/tech/comp/fnv), or a number spread
/// over all bits by the constant of its 64-bit form.
static uint64_t hash_of(int32_t dtype, const void *data, int64_t i) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325), prime = UINT64_C(0x100000001b3);
  if (dtype == FULGUR_STRING) {
    const fulgur_string *string = (const fulgur_string *)data + i;
    for (size_t k = 0; k < string->bytes; ++k)
      hash = (hash ^ (unsigned char)string->data[k]) * prime;
    return hash;
  }
  hash = bits_of(dtype, data, i) * UINT64_C(0x9E3779B97F4A7C15);
  return hash ^ hash >> 32;
}

static int equal(int32_t dtype, const void *a, int64_t i, const void *b,
                 int64_t k) {
  if (dtype == FULGUR_STRING)
    return fulgur__same_text(((const fulgur_string *)a)[i],
                             ((const fulgur_string *)b)[k]);
  return bits_of(dtype, a, i) == bits_of(dtype, b, k);
}

/// The place of a key in the table, or the free one where it would be.
static int64_t *find(const table *known, const void *data, int64_t i) {
  uint64_t at = hash_of(known->dtype, data, i);
  for (;; ++at) {
    int64_t *place = &known->places[at & known->mask];
    if (*place == 0 || equal(known->dtype, data, i, known->keys, *place - 1))
      return place;
  }
}

int32_t fulgur__string_find(fulgur_frame *frame, int32_t to, int32_t x,
                            int32_t keys, int32_t values, int32_t fallback,
                            const char *node) {
  const int32_t slots[] = {x, keys, values, fallback};
  const fulgur_value *operands[4];
  for (int i = 0; i < 4; ++i)
    if (!(operands[i] = fulgur__operand(frame, slots[i], 0, node)))
      return FULGUR_INVALID_VALUE;
  const fulgur_value *value = operands[0];
  int64_t n = fulgur__elements(operands[1]);
  if (operands[1]->dtype != value->dtype ||
      operands[3]->dtype != operands[2]->dtype ||
      fulgur__elements(operands[2]) != n || fulgur__elements(operands[3]) != 1)
    return fulgur__fail(FULGUR_INVALID_VALUE,
                        "%s: its table does not fit its input", node);
  table known = {value->dtype, operands[1]->data, 7, NULL};
  while (known.mask < (uint64_t)n * 2)
    known.mask = known.mask * 2 + 1;
  size_t bytes = (known.mask + 1) * sizeof *known.places;
  fulgur_value result;
  fulgur_status status = fulgur__new_tensor(frame, &result, operands[2]->dtype,
                                            value->rank, value->dims);
  if (status != FULGUR_OK)
    return status;
  known.places = fulgur__allocate(frame->allocator, bytes);
  if (!known.places) {
    fulgur__drop(frame, &result);
    return FULGUR_OUT_OF_MEMORY;
  }
  memset(known.places, 0, bytes);
  for (int64_t i = 0; i < n; ++i) {
    int64_t *place = find(&known, known.keys, i);
    if (*place == 0)
      *place = i + 1;
  }
  size_t element = fulgur_dtype_bytes((fulgur_dtype)result.dtype);
  for (int64_t i = 0, count = fulgur__elements(value); i < count; ++i) {
    int64_t key = *find(&known, value->data, i);
    memcpy((char *)result.data + (size_t)i * element,
           key ? (const char *)operands[2]->data + (size_t)(key - 1) * element
               : (const char *)operands[3]->data,
           element);
  }
  fulgur__free(frame->allocator, known.places, bytes);
  fulgur__put(frame, to, result);
  return FULGUR_OK;
}
