#include "base/arena.h"

#include "base/memory.h"

void *ef_arena_take(ef_arena *arena, size_t count, size_t size) {
  size_t bytes = (count * size + EF_ALIGN - 1) / EF_ALIGN * EF_ALIGN;
  char *p = arena->block ? arena->block + arena->used : NULL;
  arena->used += bytes;
  EF_ASSERT(!arena->block || arena->used <= arena->capacity);
  return p;
}

float *ef_arena_floats(ef_arena *arena, size_t count) { return ef_arena_take(arena, count, sizeof(float)); }

ef_status ef_arena_place(ef_arena *arena) {
  EF_TRY(EF_NEW(arena->block, arena->used));
  arena->capacity = arena->used;
  arena->used = 0;
  return EF_OK;
}

void ef_arena_free(ef_arena *arena) {
  ef_free(arena->block);
  *arena = (ef_arena){0};
}
