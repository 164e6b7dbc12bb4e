/* An arena places many arrays in one aligned block. The same code runs twice: a first pass with no block
 * measures, a second places. So nothing is allocated inside a training step, and the plan of a dry run is the
 * very layout of the run.
 *
 *   ef_arena arena = {0};
 *   carve(&arena, &buffers);                  // measures: every pointer stays NULL
 *   EF_TRY(ef_arena_place(&arena));           // one allocation
 *   carve(&arena, &buffers);                  // places
 *   ...
 *   ef_arena_free(&arena);
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ef_arena {
  char *block;     /* owned; NULL while measuring */
  size_t capacity; /* bytes of the block */
  size_t used;     /* bytes handed out in this pass */
} ef_arena;

/* Takes `count` elements of `size` bytes, aligned to EF_ALIGN; NULL while measuring. Local. */
void *ef_arena_take(ef_arena *arena, size_t count, size_t size);
float *ef_arena_floats(ef_arena *arena, size_t count);

/* Allocates the measured bytes and starts the placing pass. EF_MACHINE when memory is short. Local. */
ef_status ef_arena_place(ef_arena *arena);

/* Frees the block; the arena may be measured anew. Local. */
void ef_arena_free(ef_arena *arena);
