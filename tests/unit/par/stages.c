#include "par/stages.h"
#include <criterion/criterion.h>
#include <stdbool.h>

enum { RANKS_MOST = 64, FLOATS = 101 };

/* Every float ends on exactly one rank, and each stage takes place among the ranks that had the same segment.
 */
static void check_segments(int ranks, const ef_stage *stage, size_t count) {
  ef_segment segment[RANKS_MOST];
  int owners[FLOATS] = {0};
  for (int r = 0; r < ranks; r++) segment[r] = (ef_segment){0, FLOATS};
  for (size_t s = 0; s < count; s++) {
    ef_segment after[RANKS_MOST];
    for (int r = 0; r < ranks; r++) {
      for (int row = 0; row < stage[s].radix; row++) {
        int member = ef_stage_member(stage[s], r, row);
        cr_assert(member >= 0 && member < ranks);
        cr_assert_eq(ef_stage_row(stage[s], member), row);
        cr_assert_eq(segment[member].first, segment[r].first);
        cr_assert_eq(segment[member].count, segment[r].count);
      }
      after[r] = ef_stage_part(stage[s], segment[r], ef_stage_row(stage[s], r));
    }
    for (int r = 0; r < ranks; r++) segment[r] = after[r];
  }
  for (int r = 0; r < ranks; r++) {
    for (size_t i = 0; i < segment[r].count; i++) owners[segment[r].first + i]++;
  }
  for (size_t i = 0; i < FLOATS; i++) cr_assert_eq(owners[i], 1, "float %zu on %d ranks", i, ranks);
}

/* The leaves of all ranks come together: behind the last stage each rank has heard of every other one. */
static void check_leaves(int ranks, const ef_stage *stage, size_t count) {
  for (int r = 0; r < ranks; r++) {
    int first = r, together = 1;
    for (size_t s = 0; s < count; s++) {
      cr_assert_eq(stage[s].stride, together);
      cr_assert_eq(ef_stage_first(stage[s], r), first);
      together *= stage[s].radix;
      first = r / together * together;
    }
    cr_assert_eq(together, ranks);
    cr_assert_eq(first, 0);
  }
}

Test(stages, cover_all_floats_and_all_leaves) {
  for (int ranks = 1; ranks <= RANKS_MOST; ranks++) {
    for (int per_node = 1; per_node <= ranks; per_node++) {
      ef_stage stage[EF_STAGES_MOST];
      size_t count = ef_stages_make(ranks, per_node, stage);
      check_segments(ranks, stage, count);
      check_leaves(ranks, stage, count);
    }
  }
}

static void check(int ranks, int per_node, size_t count, const ef_stage *expected) {
  ef_stage stage[EF_STAGES_MOST];
  cr_assert_eq(ef_stages_make(ranks, per_node, stage), count);
  for (size_t s = 0; s < count; s++) {
    cr_assert_eq(stage[s].radix, expected[s].radix, "stage %zu of %d ranks", s, ranks);
    cr_assert_eq(stage[s].stride, expected[s].stride, "stage %zu of %d ranks", s, ranks);
  }
}

Test(stages, are_factors_up_to_eight_those_of_a_node_first) {
  check(1, 1, 0, NULL);
  check(8, 1, 1, (const ef_stage[]){{8, 1}});
  check(8, 4, 2, (const ef_stage[]){{4, 1}, {2, 4}});
  check(120, 12, 4, (const ef_stage[]){{4, 1}, {3, 4}, {2, 12}, {5, 24}});
  check(1024, 1, 4, (const ef_stage[]){{8, 1}, {8, 8}, {8, 64}, {2, 512}});
  check(22, 3, 2, (const ef_stage[]){{2, 1}, {11, 2}});         /* nodes of three do not divide 22 */
  check(2147483647, 1, 1, (const ef_stage[]){{2147483647, 1}}); /* prime */
}
