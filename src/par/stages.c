#include "par/stages.h"

#include "par/units.h"

/* A message more is cheaper than a stage more, up to this: 7 messages cost a processor some microseconds at
 * most, where a stage also costs the latency of the network and the wait for all who are late. */
enum { WIDEST = 8 };

static int least_factor(int n) {
  for (int p = 2; p <= n / p; p++) {
    if (n % p == 0) return p;
  }
  return n;
}

/* Adds the stages of `ranks`, whose prime factors are taken from the least on, and together as far as they
 * go.
 */
static size_t add_stages(int ranks, int stride, ef_stage *stage, size_t count) {
  int radix = 1;
  while (ranks > 1) {
    int p = least_factor(ranks);
    if (radix > 1 && p > WIDEST / radix) {
      stage[count++] = (ef_stage){radix, stride};
      stride *= radix;
      radix = 1;
    }
    radix *= p;
    ranks /= p;
  }
  if (radix > 1) stage[count++] = (ef_stage){radix, stride};
  return count;
}

size_t ef_stages_make(int ranks, int per_node, ef_stage stage[EF_STAGES_MOST]) {
  int near = ranks % per_node == 0 ? per_node : 1;
  size_t count = add_stages(near, 1, stage, 0);
  return add_stages(ranks / near, near, stage, count);
}

int ef_stage_row(ef_stage stage, int rank) { return rank / stage.stride % stage.radix; }

int ef_stage_member(ef_stage stage, int rank, int row) {
  return rank + (row - ef_stage_row(stage, rank)) * stage.stride;
}

int ef_stage_first(ef_stage stage, int rank) { return rank - rank % stage.stride; }

ef_segment ef_stage_part(ef_stage stage, ef_segment segment, int row) {
  size_t first = ef_block_first(segment.count, stage.radix, row);
  return (ef_segment){segment.first + first, ef_block_first(segment.count, stage.radix, row + 1) - first};
}
