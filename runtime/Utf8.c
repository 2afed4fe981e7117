// UTF-8 as RFC 3629 defines it.
#include "Text.h"

uint32_t fulgur__decode(const char *text, size_t bytes, size_t *used) {
  const unsigned char *c = (const unsigned char *)text;
  size_t more = c[0] < 0x80   ? 0
                : c[0] < 0xC2 ? 9
                : c[0] < 0xE0 ? 1
                : c[0] < 0xF0 ? 2
                : c[0] < 0xF5 ? 3
                              : 9;
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  *used = 1;
  if (more == 0)
    return c[0];
  if (more >= bytes || more == 9)
    return 0xFFFD;
  uint32_t character = c[0] & (0x3Fu >> more);
  for (size_t i = 1; i <= more; ++i) {
    if ((c[i] & 0xC0) != 0x80)
      return 0xFFFD;
    character = character << 6 | (c[i] & 0x3F);
  }
  if (character < least[more] || character > 0x10FFFF ||
      (character >= 0xD800 && character < 0xE000))
    return 0xFFFD;
  *used = more + 1;
  return character;
}

size_t fulgur__encode(uint32_t character, char *text) {
  if (character < 0x80) {
    text[0] = (char)character;
    return 1;
  }
  size_t more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
  text[0] = (char)(marks[more] | character >> (6 * more));
  for (size_t i = 1; i <= more; ++i)
    text[i] = (char)(0x80 | (character >> (6 * (more - i)) & 0x3F));
  return more + 1;
}
