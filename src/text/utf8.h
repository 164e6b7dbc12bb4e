/* Strict UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF, no cut
 * sequence.
 */
#pragma once

#include <stddef.h>

/* Number of bytes in front of the first ill-formed sequence; `bytes` if all of the text is well-formed.
 * Local. */
size_t ef_utf8_valid(const char *text, size_t bytes);

/* True if a character may start at this byte: it is no continuation byte. Local. */
static inline int ef_utf8_starts(char byte) { return ((unsigned char)byte & 0xC0u) != 0x80u; }
