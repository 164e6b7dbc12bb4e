#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The size of a block is kept in front of it, in one alignment unit. */
enum { HEADER = EF_ALIGN };

static size_t held_bytes, held_blocks, peak_bytes;

static size_t *header_of(void *block) { return (size_t *)(void *)((char *)block - HEADER); }

static void account(size_t bytes) {
  held_bytes += bytes;
  held_blocks++;
  if (held_bytes > peak_bytes) peak_bytes = held_bytes;
}

void *ef_alloc(size_t count, size_t size) {
  if (size != 0 && count > (SIZE_MAX / 2 - HEADER - EF_ALIGN) / size) return NULL;
  size_t bytes = (count * size + EF_ALIGN - 1) / EF_ALIGN * EF_ALIGN;
  char *raw = aligned_alloc(EF_ALIGN, HEADER + bytes);
  if (!raw) return NULL;
  memset(raw, 0, HEADER + bytes);
  *(size_t *)(void *)raw = bytes;
  account(bytes);
  return raw + HEADER;
}

void ef_free(void *block) {
  if (!block) return;
  held_bytes -= *header_of(block);
  held_blocks--;
  free(header_of(block));
}

char *ef_strdup(const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = ef_alloc(n, 1);
  if (copy) memcpy(copy, text, n);
  return copy;
}

void *ef_realloc(void *block, size_t count, size_t size) {
  void *grown = ef_alloc(count, size);
  if (!grown || !block) return grown;
  size_t old = *header_of(block), wanted = count * size;
  memcpy(grown, block, old < wanted ? old : wanted);
  ef_free(block);
  return grown;
}

size_t ef_memory_bytes(void) { return held_bytes; }
size_t ef_memory_blocks(void) { return held_blocks; }
size_t ef_memory_peak(void) { return peak_bytes; }
void ef_memory_reset_peak(void) { peak_bytes = held_bytes; }
