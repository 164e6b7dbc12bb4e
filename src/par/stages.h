/* A sum over many ranks in stages of few messages: N = p1 * p2 * ... ranks are a box of such sides, and every
 * stage sums along one of them. Messages of a rank: (p1 - 1) + (p2 - 1) + ..., about 2.3 log2 N for powers of
 * two, while the bytes stay those of N - 1 messages (Rabenseifner, "Optimization of collective reduction
 * operations", ICCS 2004, where all sides are 2). Pure.
 *
 * Before a stage, `stride` ranks in a row have their leaves in common, and each of them has one segment of
 * the vector; in the stage, `radix` such rows become one, and the segment falls into `radix` parts.
 */
#pragma once

#include <stddef.h>

enum { EF_STAGES_MOST = 31 };

typedef struct ef_stage {
  int radix, stride; /* with the ranks `stride`, 2 stride, ... from this one */
} ef_stage;

typedef struct ef_segment {
  size_t first, count;
} ef_segment;

/* The stages of `ranks`, first those among the `per_node` neighbours of a node, where these divide the ranks;
 * returns their number. A radix is a prime factor, or several whose product is at most 8. */
size_t ef_stages_make(int ranks, int per_node, ef_stage stage[EF_STAGES_MOST]);

/* Which of the `radix` rows a rank stands in, and the rank at its place in row `row`. */
int ef_stage_row(ef_stage stage, int rank);
int ef_stage_member(ef_stage stage, int rank, int row);

/* First of the `stride` ranks whose leaves stand together with those of `rank` before the stage. */
int ef_stage_first(ef_stage stage, int rank);

/* The part of a segment that the rank in row `row` has after the stage. */
ef_segment ef_stage_part(ef_stage stage, ef_segment segment, int row);
