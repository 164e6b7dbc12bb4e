/* The tree sum over ranks has the bits of the tree sum of all leaves on one rank. */
#include "base/memory.h"
#include "base/rng.h"
#include "par/tree.h"
#include "par/units.h"
#include "support/mpi_test.h"
#include <string.h>

enum { MOST_N = 1031 };
typedef enum layout { BLOCKS, ROUND_ROBIN, ONE_RANK, BACKWARDS, LAYOUTS } layout;

static ef_par par;

static int owner_of(layout how, size_t units, size_t unit) {
  switch (how) {
  case BLOCKS:
    return ef_block_owner(units, par.size, unit);
  case ROUND_ROBIN:
    return (int)(unit % (size_t)par.size);
  case BACKWARDS:
    return par.size - 1 - (int)(unit % (size_t)par.size);
  default:
    return par.size - 1;
  }
}

/* Leaf `unit`: numbers of very different size, so that another order of summing shows. */
static void fill(size_t unit, size_t n, float *leaf) {
  ef_rng rng = ef_rng_stream(11, EF_RNG_TEST, unit, (uint32_t)n);
  for (size_t i = 0; i < n; i++) leaf[i] = (float)(ef_rng_normal(&rng) * (double)(1u << (4 * (i % 7))));
}

static ef_status add_leaf(ef_tree *tree, size_t unit, size_t n) {
  float *leaf;
  EF_TRY(ef_tree_leaf(tree, &leaf));
  fill(unit, n, leaf);
  return ef_tree_add(tree, unit, leaf);
}

static ef_status compare(size_t units, size_t n, layout how, ef_tree *alone, ef_tree *spread, bool *same) {
  const float *expected, *sum;
  for (size_t u = 0; u < units; u++) {
    size_t unit = how == BACKWARDS ? units - 1 - u : u;
    EF_TRY(add_leaf(alone, unit, n));
    if (owner_of(how, units, unit) == par.rank) EF_TRY(add_leaf(spread, unit, n));
  }
  EF_TRY(ef_tree_sum(alone, &expected));
  EF_TRY(ef_tree_sum_all(spread, &par, &sum));
  *same = memcmp(expected, sum, n * sizeof *sum) == 0;
  EF_TRY(ef_tree_sum(spread, &sum)); /* the whole sum stays until the reset */
  ef_tree_reset(alone);
  ef_tree_reset(spread);
  return EF_OK;
}

static bool agrees(size_t units, size_t n, layout how) {
  ef_tree *alone = NULL, *spread = NULL;
  bool first = false, second = false;
  ef_status status = ef_tree_create(units, n, 2, &alone);
  if (status == EF_OK) status = ef_tree_create(units, n, 2, &spread);
  if (status == EF_OK) status = compare(units, n, how, alone, spread, &first);
  size_t bytes = ef_memory_bytes();
  if (status == EF_OK) status = compare(units, n, how, alone, spread, &second);
  bool steady = ef_memory_bytes() == bytes;
  ef_tree_free(alone);
  ef_tree_free(spread);
  return status == EF_OK && first && second && steady;
}

/* Nodes of `per_node` ranks order the stages. */
static void check_units(size_t units, int per_node) {
  const size_t lengths[] = {0, 1, 2, 3, 5, 97, MOST_N};
  ef_par_set_chunk(&par, units % 2 ? 1 << 30 : 100);
  ef_par_set_nodes(&par, per_node);
  for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
    for (layout how = BLOCKS; how < LAYOUTS; how++) {
      cr_assert(mpi_all(agrees(units, lengths[l], how)), "%zu units of %zu, layout %d, nodes of %d: %s",
                units, lengths[l], (int)how, per_node, ef_message());
    }
  }
}

MPI_TEST(tree_sum, bits_do_not_depend_on_ranks) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  size_t before = ef_memory_blocks();
  const size_t units[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 24, 31};
  for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
    check_units(units[u], par.size);
    for (int per_node = 2; per_node < 4 && per_node < par.size; per_node++) check_units(units[u], per_node);
  }
  cr_assert(mpi_all(ef_memory_blocks() == before));
  ef_par_finish(&par);
}

MPI_TEST(tree_sum, missing_and_doubled_leaves_fail_everywhere) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  ef_tree *tree;
  const float *sum;
  cr_assert(mpi_all(ef_tree_create(5, 3, 1, &tree) == EF_OK));
  if (par.rank == 0) add_leaf(tree, 2, 3);
  cr_assert(mpi_all(ef_tree_sum_all(tree, &par, &sum) == EF_FAULT));
  ef_tree_reset(tree);
  /* As many leaves as units, but leaf 4 is on two ranks and leaf 3 on none. */
  for (size_t u = 0; u < 3 && par.rank == 0; u++) add_leaf(tree, u, 3);
  if (par.rank == 0 || par.rank == par.size - 1) add_leaf(tree, 4, 3);
  cr_assert(mpi_all(ef_tree_sum_all(tree, &par, &sum) == EF_FAULT));
  ef_tree_free(tree);
  ef_par_finish(&par);
}
