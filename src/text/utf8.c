#include "text/utf8.h"

/* Bytes of the well-formed sequence at s, 0 if there is none. The bounds of the second byte exclude overlong
 * forms (E0, F0), surrogates (ED) and what is above U+10FFFF (F4). */
static size_t sequence(const unsigned char *s, size_t left) {
  unsigned char lead = s[0], low = 0x80, high = 0xBF;
  if (lead < 0x80) return 1;
  size_t n = lead >= 0xC2 && lead <= 0xDF   ? 2
             : (lead & 0xF0u) == 0xE0u      ? 3
             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                            : 0;
  if (n == 0 || n > left) return 0;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < n; i++) {
    if ((s[i] & 0xC0u) != 0x80u) return 0;
  }
  return n;
}

size_t ef_utf8_valid(const char *text, size_t bytes) {
  const unsigned char *s = (const unsigned char *)text;
  size_t at = 0;
  while (at < bytes) {
    size_t n = sequence(s + at, bytes - at);
    if (n == 0) break;
    at += n;
  }
  return at;
}
