/* Counted memory. Every block of the program comes from here, so that peaks are results (bytes per device and
 * phase) and a leak is found by the balance at exit.
 *
 * Blocks are zeroed and aligned to 64 bytes. Counters are per process and not thread-safe: edgefuse runs
 * one thread per rank.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>

enum { EF_ALIGN = 64 };

/* Allocates `count` zeroed elements of `size` bytes; NULL on overflow or when memory is short. A count of
 * zero gives a valid block. Freed with ef_free. Local. */
void *ef_alloc(size_t count, size_t size);

/* Frees a block of ef_alloc; NULL is accepted. Local. */
void ef_free(void *block);

/* Copy of a NUL-terminated string in counted memory; NULL when memory is short. Local. */
char *ef_strdup(const char *text);

/* Grows or shrinks a block to `count` elements of `size` bytes, contents kept, new bytes zeroed. On failure
 * NULL is returned and the old block stays. Local. */
void *ef_realloc(void *block, size_t count, size_t size);

/* Bytes and blocks held now, and the highest number of bytes held since the last reset. Local. */
size_t ef_memory_bytes(void);
size_t ef_memory_blocks(void);
size_t ef_memory_peak(void);

/* Sets the peak to the bytes held now: a phase or a device is measured from here on. Local. */
void ef_memory_reset_peak(void);

/* Gives what is free in the heap back to the system: for work that leaves small blocks strewn over it, which
 * would count as resident until the end of the run. Local. */
void ef_memory_trim(void);

/* Sets the peak back to `peak`, which was read before, or to the bytes held now if they are more: what was
 * held in between for a while does not count. Local. */
void ef_memory_return_to_peak(size_t peak);

/* EF_TRY(EF_NEW(p, n)): p becomes n zeroed elements of its own type, or EF_MACHINE. */
#define EF_NEW(p, n)                                                                                         \
  EF_CHECK(((p) = ef_alloc((n), sizeof *(p))) != NULL, EF_MACHINE,                                           \
           "out of memory: %zu elements of %zu bytes (" #p ")", (size_t)(n), sizeof *(p))
