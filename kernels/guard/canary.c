#include "kernels/guard/check.h"
#include "kernels/guard/guard.h"

#include <stdlib.h>
#include <string.h>

enum { STRIP = 256, CANARY = 0xa5 }; /* the strip in front begins with the size of the buffer */

static size_t buffer_size(const unsigned char *base) {
  size_t bytes;
  memcpy(&bytes, base, sizeof bytes);
  return bytes;
}

void *ef_guard_alloc(size_t bytes) {
  size_t total = (2 * (size_t)STRIP + bytes + 63) / 64 * 64;
  unsigned char *base = aligned_alloc(64, total);
  if (!base) ef_guard_fail("ef_guard_alloc", "no memory for %zu bytes", bytes);
  memset(base, CANARY, total);
  memset(base + STRIP, 0xff, bytes);
  memcpy(base, &bytes, sizeof bytes);
  return base + STRIP;
}

ptrdiff_t ef_guard_check(const void *buffer) {
  const unsigned char *base = (const unsigned char *)buffer - STRIP;
  size_t bytes = buffer_size(base), end = STRIP + bytes;
  for (size_t i = sizeof bytes; i < STRIP; i++) {
    if (base[i] != CANARY) return (ptrdiff_t)i - STRIP;
  }
  for (size_t i = end; i < end + STRIP; i++) {
    if (base[i] != CANARY) return (ptrdiff_t)i - STRIP;
  }
  return 0;
}

void ef_guard_free(void *buffer) {
  if (!buffer) return;
  ptrdiff_t at = ef_guard_check(buffer);
  unsigned char *base = (unsigned char *)buffer - STRIP;
  if (at != 0) {
    ef_guard_fail("ef_guard_free", "a buffer of %zu bytes was overwritten at byte %td", buffer_size(base),
                  at);
  }
  free(base);
}
