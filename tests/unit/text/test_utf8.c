#include "text/utf8.h"

#include <criterion/criterion.h>
#include <string.h>

static size_t valid(const char *text) { return ef_utf8_valid(text, strlen(text)); }

/* Every code point, encoded by the arithmetic of RFC 3629, section 3. */
static size_t encode(unsigned c, char *s) {
  if (c < 0x80) return s[0] = (char)c, 1;
  if (c < 0x800) return s[0] = (char)(0xC0u | c >> 6), s[1] = (char)(0x80u | (c & 63u)), 2;
  if (c < 0x10000) {
    s[0] = (char)(0xE0u | c >> 12);
    s[1] = (char)(0x80u | (c >> 6 & 63u));
    s[2] = (char)(0x80u | (c & 63u));
    return 3;
  }
  s[0] = (char)(0xF0u | c >> 18);
  s[1] = (char)(0x80u | (c >> 12 & 63u));
  s[2] = (char)(0x80u | (c >> 6 & 63u));
  s[3] = (char)(0x80u | (c & 63u));
  return 4;
}

Test(utf8, every_code_point_but_surrogates_is_accepted) {
  for (unsigned c = 0; c < 0x110000 + 64; c++) {
    char s[4];
    size_t n = encode(c, s), want = (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF ? 0 : n;
    cr_assert_eq(ef_utf8_valid(s, n), want, "U+%04X", c);
    cr_assert_eq(ef_utf8_valid(s, n - 1), 0, "U+%04X cut short", c);
  }
}

Test(utf8, ill_formed_sequences_are_found_where_they_start) {
  static const char *const bad[] = {"ab\x80",
                                    "ab\xC0\x80",
                                    "ab\xC1\xBF",
                                    "ab\xE0\x80\x80",
                                    "ab\xE0\x9F\xBF",
                                    "ab\xED\xA0\x80",
                                    "ab\xF0\x80\x80\x80",
                                    "ab\xF0\x8F\xBF\xBF",
                                    "ab\xF4\x90\x80\x80",
                                    "ab\xF5\x80\x80\x80",
                                    "ab\xFF",
                                    "ab\xFE",
                                    "ab\xC3(",
                                    "ab\xE2\x82",
                                    "ab\xE2(\xA1"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_eq(valid(bad[i]), 2, "case %zu", i);
  cr_assert_eq(valid("stra\xC3\x9F"
                     "e \xE2\x82\xAC \xF0\x9F\x98\x80"),
               16);
}
