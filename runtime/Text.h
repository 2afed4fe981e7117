// Strings: UTF-8, case, and where tensors of strings meet.
#ifndef FULGUR_TEXT_H
#define FULGUR_TEXT_H

#include "Value.h"

#include <string.h>

/// Decodes the character at text[0 .. bytes), bytes > 0, and tells how many
/// bytes it has. A byte that begins no valid character is one of its own:
/// U+FFFD.
uint32_t fulgur__decode(const char *text, size_t bytes, size_t *used);

/// Writes a character to `text`, which has room for 4 bytes; how many it has.
size_t fulgur__encode(uint32_t character, char *text);

/// Simple case mappings of Unicode (those of one character to one).
uint32_t fulgur__lower(uint32_t character);
uint32_t fulgur__upper(uint32_t character);

static inline int fulgur__same_text(fulgur_string a, fulgur_string b) {
  return a.bytes == b.bytes &&
         (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/// Two operands of strings on their way through a result to which both are
/// broadcast (numpy's rules).
typedef struct fulgur_broadcast {
  const fulgur_string *strings[2]; ///< the operands' elements
  int32_t rank;
  int64_t dims[FULGUR_MAX_RANK], index[FULGUR_MAX_RANK];
  int64_t strides[2][FULGUR_MAX_RANK];
  int64_t at[2]; ///< the operands' elements that belong to the current one
} fulgur_broadcast;

/// Begins with the strings in slots a and b, and makes the result, whose
/// elements are of type `dtype` and still to be written.
fulgur_status fulgur__broadcast(fulgur_frame *frame, int32_t a, int32_t b,
                                int32_t dtype, fulgur_broadcast *broadcast,
                                fulgur_value *result, const char *node);

/// On to the result's next element.
void fulgur__advance(fulgur_broadcast *broadcast);

#endif // FULGUR_TEXT_H
