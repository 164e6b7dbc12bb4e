/* Counted memory: alignment, counters, and what becomes of freed blocks. */
#include "base/memory.h"
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Blocks too small for a mapping of their own, each behind a small one that stays. */
enum { BLOCKS = 64, BYTES = 32768, ROUNDS = 20 };

Test(memory, blocks_are_aligned_and_zero) {
  for (size_t n = 0; n < 300; n += 7) {
    unsigned char *block = ef_alloc(n, 1);
    cr_assert(block && (uintptr_t)block % EF_ALIGN == 0, "%zu bytes", n);
    for (size_t i = 0; i < n; i++) cr_assert_eq(block[i], 0);
    for (size_t i = 0; i < n; i++) block[i] = 255; /* so that the next block finds it dirty */
    ef_free(block);
  }
}

Test(memory, counters_follow_the_blocks) {
  size_t bytes = ef_memory_bytes(), blocks = ef_memory_blocks();
  ef_memory_reset_peak();
  double *p = ef_alloc(16, sizeof *p); /* 128 bytes */
  p[15] = 0.5;
  p = ef_realloc(p, 100, sizeof *p); /* 800, in steps of 64: 832; for a moment beside the first */
  cr_assert(p);
  cr_expect_eq(p[15], 0.5);
  cr_expect_eq(p[99], 0.0);
  cr_expect_eq(ef_memory_bytes(), bytes + 832);
  cr_expect_eq(ef_memory_blocks(), blocks + 1);
  cr_expect_eq(ef_memory_peak(), bytes + 832 + 128);
  ef_free(p);
  cr_expect_eq(ef_memory_bytes(), bytes);
  cr_expect_null(ef_alloc(SIZE_MAX / 4, 8));
}

/* What was freed serves the next block of the same size, also where its neighbours stay: the heap that the
 * first round leaves is enough for all that follow. */
Test(memory, freed_blocks_are_taken_again) {
  void *block[BLOCKS], *stays[ROUNDS][BLOCKS];
  size_t first = 0;
  for (size_t r = 0; r < ROUNDS; r++) {
    for (size_t i = 0; i < BLOCKS; i++) {
      cr_assert(block[i] = ef_alloc(BYTES, 1));
      cr_assert(stays[r][i] = malloc(40));
    }
    for (size_t i = 0; i < BLOCKS; i++) ef_free(block[i]);
    if (r == 0) first = mallinfo2().arena;
  }
  size_t last = mallinfo2().arena;
  cr_expect_lt(last, first + BLOCKS * BYTES / 2, "%zu bytes of heap after one round, %zu after all", first,
               last);
  for (size_t r = 0; r < ROUNDS; r++) {
    for (size_t i = 0; i < BLOCKS; i++) free(stays[r][i]);
  }
}

static size_t resident(void) {
  unsigned long long pages = 0, held = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  cr_assert(file && fscanf(file, "%llu %llu", &pages, &held) == 2);
  fclose(file);
  return (size_t)held * (size_t)sysconf(_SC_PAGESIZE);
}

Test(memory, trim_gives_holes_back) {
  void *block[BLOCKS], *stays[BLOCKS];
  for (size_t i = 0; i < BLOCKS; i++) {
    cr_assert(block[i] = ef_alloc(BYTES, 1));
    cr_assert(stays[i] = malloc(40));
  }
  for (size_t i = 0; i < BLOCKS; i++) ef_free(block[i]);
  bool glibc = mallinfo2().fordblks >= (size_t)BLOCKS * BYTES;
  size_t before = resident();
  if (glibc) ef_memory_trim();
  size_t after = resident();
  for (size_t i = 0; i < BLOCKS; i++) free(stays[i]);
  if (!glibc) cr_skip_test("another allocator stands in for that of glibc");
  cr_expect_leq(after + (size_t)BLOCKS * BYTES * 3 / 4, before, "%zu bytes before, %zu after", before, after);
}
