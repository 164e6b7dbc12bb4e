/* A part of the ranks as a world of its own, while the others wait for its end. */
#include "par/subset.h"
#include "support/mpi_test.h"
#include <string.h>

static bool all_ok(ef_status status) { return mpi_all(status == EF_OK) != 0; }

/* In the part, every rank hears of all: the sum of 0 .. n-1. */
static ef_status sum_ranks(ef_par *part, int64_t *sum) {
  int64_t mine = part->rank, all[8] = {0};
  EF_TRY(ef_allgather_i64(part, &mine, 1, all));
  *sum = 0;
  for (int r = 0; r < part->size; r++) *sum += all[r];
  return ef_barrier(part);
}

MPI_TEST(par, subset) {
  ef_par par, part;
  cr_assert(all_ok(ef_par_start(NULL, NULL, &par)));
  for (int ranks = 1; ranks <= par.size; ranks++) {
    int64_t sum = ranks * (ranks - 1) / 2;
    bool inside = par.rank < ranks;
    cr_assert(all_ok(ef_par_subset(&par, ranks, &part)));
    cr_assert(mpi_all(!inside || (part.size == ranks && part.rank == par.rank)));
    cr_assert(all_ok(ef_par_rejoin(&par, inside ? sum_ranks(&part, &sum) : EF_OK)));
    cr_assert(mpi_all(sum == ranks * (ranks - 1) / 2));
    ef_par_finish(&part);
  }
  ef_par_finish(&par);
}

/* The part fails as one: those that waited get its status and its message as it stands. */
MPI_TEST(par, subset_that_fails) {
  ef_par par, part;
  cr_assert(all_ok(ef_par_start(NULL, NULL, &par)));
  cr_assert(all_ok(ef_par_subset(&par, 1, &part)));
  ef_status mine = par.rank == 0 ? ef_fail(EF_STOPPED, "here.c", 3, "told to stop") : EF_OK;
  mine = ef_par_rejoin(&par, mine);
  cr_assert(mpi_all(mine == EF_STOPPED && strcmp(ef_message(), "told to stop") == 0), "%s", ef_message());
  ef_par_finish(&part);
  ef_par_finish(&par);
}
