// The XXH64 hash (seed 0) of weights segments, as its specification defines it
// (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), in pieces of any size, for
// C and C++ alike. llvm::xxHash64 gives the same numbers.
#ifndef FULGUR_XXH64_H
#define FULGUR_XXH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FULGUR_XXH64_PRIME1 0x9E3779B185EBCA87u
#define FULGUR_XXH64_PRIME2 0xC2B2AE3D27D4EB4Fu
#define FULGUR_XXH64_PRIME3 0x165667B19E3779F9u
#define FULGUR_XXH64_PRIME4 0x85EBCA77C2B2AE63u
#define FULGUR_XXH64_PRIME5 0x27D4EB2F165667C5u

/// A hash under way.
typedef struct fulgur_xxh64 {
  uint64_t lanes[4];
  uint64_t bytes;            ///< seen so far
  unsigned char pending[32]; ///< the last bytes % 32 of them
} fulgur_xxh64;

static inline uint64_t fulgur_xxh64_rotate(uint64_t x, int bits) {
  return x << bits | x >> (64 - bits);
}

static inline uint64_t fulgur_xxh64_round(uint64_t lane, uint64_t input) {
  return fulgur_xxh64_rotate(lane + input * FULGUR_XXH64_PRIME2, 31) *
         FULGUR_XXH64_PRIME1;
}

static inline void fulgur_xxh64_stripe(uint64_t *lanes,
                                       const unsigned char *stripe) {
  for (int i = 0; i < 4; ++i) {
    uint64_t word;
    memcpy(&word, stripe + 8 * i, 8);
    lanes[i] = fulgur_xxh64_round(lanes[i], word);
  }
}

static inline void fulgur_xxh64_init(fulgur_xxh64 *hash) {
  memset(hash, 0, sizeof *hash);
  hash->lanes[0] = FULGUR_XXH64_PRIME1 + FULGUR_XXH64_PRIME2;
  hash->lanes[1] = FULGUR_XXH64_PRIME2;
  hash->lanes[3] = 0 - FULGUR_XXH64_PRIME1;
}

/// Adds `bytes` bytes at `data`.
static inline void fulgur_xxh64_update(fulgur_xxh64 *hash, const void *data,
                                       size_t bytes) {
  if (bytes == 0)
    return;
  const unsigned char *p = (const unsigned char *)data;
  size_t held = hash->bytes % 32;
  hash->bytes += bytes;
  if (held != 0) {
    size_t taken = bytes < 32 - held ? bytes : 32 - held;
    memcpy(hash->pending + held, p, taken);
    if (held + taken < 32)
      return;
    fulgur_xxh64_stripe(hash->lanes, hash->pending);
    p += taken;
    bytes -= taken;
  }
  uint64_t lanes[4]; // in registers: the loop is what the time goes into
  memcpy(lanes, hash->lanes, sizeof lanes);
  for (; bytes >= 32; p += 32, bytes -= 32)
    fulgur_xxh64_stripe(lanes, p);
  memcpy(hash->lanes, lanes, sizeof lanes);
  memcpy(hash->pending, p, bytes);
}

/// The hash of everything added so far.
static inline uint64_t fulgur_xxh64_digest(const fulgur_xxh64 *hash) {
  const uint64_t *lanes = hash->lanes;
  uint64_t h = FULGUR_XXH64_PRIME5;
  if (hash->bytes >= 32) {
    h = fulgur_xxh64_rotate(lanes[0], 1) + fulgur_xxh64_rotate(lanes[1], 7) +
        fulgur_xxh64_rotate(lanes[2], 12) + fulgur_xxh64_rotate(lanes[3], 18);
    for (int i = 0; i < 4; ++i)
      h = (h ^ fulgur_xxh64_round(0, lanes[i])) * FULGUR_XXH64_PRIME1 +
          FULGUR_XXH64_PRIME4;
  }
  h += hash->bytes;
  const unsigned char *p = hash->pending;
  size_t left = hash->bytes % 32;
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    h = fulgur_xxh64_rotate(h ^ fulgur_xxh64_round(0, word), 27) *
            FULGUR_XXH64_PRIME1 +
        FULGUR_XXH64_PRIME4;
  }
  if (left >= 4) {
    uint32_t word;
    memcpy(&word, p, 4);
    h = fulgur_xxh64_rotate(h ^ word * FULGUR_XXH64_PRIME1, 23) *
            FULGUR_XXH64_PRIME2 +
        FULGUR_XXH64_PRIME3;
    p += 4;
    left -= 4;
  }
  for (; left > 0; ++p, --left)
    h = fulgur_xxh64_rotate(h ^ *p * FULGUR_XXH64_PRIME5, 11) *
        FULGUR_XXH64_PRIME1;
  h = (h ^ h >> 33) * FULGUR_XXH64_PRIME2;
  h = (h ^ h >> 29) * FULGUR_XXH64_PRIME3;
  return h ^ h >> 32;
}

#endif // FULGUR_XXH64_H
