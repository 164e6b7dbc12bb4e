#include "base/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* In front of each block, in one alignment unit: its size, and where malloc's block begins. Blocks are
 * aligned by hand: aligned_alloc of glibc before 2.38 asks its own heap for more than it keeps, so that a
 * freed block is too small for the next one of the same size and the heap grows for ever (glibc bug 14581).
 */
typedef struct header {
  size_t bytes;
  char *raw;
} header;

enum { ROOM = 2 * EF_ALIGN }; /* for the header, and to move up to the alignment */

static size_t held_bytes, held_blocks, peak_bytes;

static header *header_of(void *block) { return (header *)(void *)((char *)block - EF_ALIGN); }

static char *aligned(char *raw) {
  size_t over = (uintptr_t)raw % EF_ALIGN;
  return raw + EF_ALIGN + (over ? EF_ALIGN - over : 0);
}

static void account(size_t bytes) {
  held_bytes += bytes;
  held_blocks++;
  if (held_bytes > peak_bytes) peak_bytes = held_bytes;
}

void *ef_alloc(size_t count, size_t size) {
  if (size != 0 && count > (SIZE_MAX / 2 - ROOM - EF_ALIGN) / size) return NULL;
  size_t bytes = (count * size + EF_ALIGN - 1) / EF_ALIGN * EF_ALIGN;
  char *raw = malloc(ROOM + bytes);
  if (!raw) return NULL;
  char *block = aligned(raw);
  *header_of(block) = (header){bytes, raw};
  memset(block, 0, bytes);
  account(bytes);
  return block;
}

void ef_free(void *block) {
  if (!block) return;
  held_bytes -= header_of(block)->bytes;
  held_blocks--;
  free(header_of(block)->raw);
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
  size_t old = header_of(block)->bytes, wanted = count * size;
  memcpy(grown, block, old < wanted ? old : wanted);
  ef_free(block);
  return grown;
}

size_t ef_memory_bytes(void) { return held_bytes; }
size_t ef_memory_blocks(void) { return held_blocks; }
size_t ef_memory_peak(void) { return peak_bytes; }
void ef_memory_reset_peak(void) { peak_bytes = held_bytes; }
void ef_memory_trim(void) { malloc_trim(0); }
void ef_memory_return_to_peak(size_t peak) { peak_bytes = peak > held_bytes ? peak : held_bytes; }
