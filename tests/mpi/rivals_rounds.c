/* Federated rounds over ranks: the bits, bytes and records of one rank alone. */
#include "par/stop.h"
#include "support/mpi_test.h"
#include "support/rounds_sample.h"
#include <string.h>

enum { DEVICES = 3 };

static ef_par par;

static const char *const overrides[] = {"federation.devices=3", "federation.wire=bfloat16", NULL};

static bool same_records(const rounds_sample *a, const rounds_sample *b) {
  for (size_t n = 0; n < DEVICES; n++) {
    const ef_device_record *x = &a->devices.records[n], *y = &b->devices.records[n];
    if (x->state != y->state || x->steps != y->steps || x->kept_step != y->kept_step) return false;
    if (x->tokens != y->tokens || x->holdout_loss != y->holdout_loss) return false;
  }
  return memcmp(a->rounds.lineage, b->rounds.lineage, a->global.E * DEVICES * sizeof(float)) == 0 &&
         memcmp(a->rounds.formula, b->rounds.formula, sizeof a->rounds.formula) == 0 &&
         memcmp(a->rounds.validation, b->rounds.validation, 2 * TINY_DOMAINS * sizeof(ef_quality)) == 0;
}

static bool same_models(const rounds_sample *a, const rounds_sample *b) {
  ef_model x = rounds_sample_model(a, 1), y = rounds_sample_model(b, 1);
  bool same = memcmp(x.params, y.params, x.table.floats * sizeof(float)) == 0;
  ef_model_free(&x);
  ef_model_free(&y);
  return same;
}

static void check_bits(bool pruned) {
  rounds_sample alone, together;
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  rounds_sample_open(&alone, NULL, pruned, overrides);
  cr_assert(mpi_all(rounds_sample_run(&alone) == EF_OK), "%s", ef_message());
  rounds_sample_open(&together, &par, pruned, overrides);
  cr_assert(mpi_all(rounds_sample_run(&together) == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(same_records(&alone, &together)));
  cr_assert(mpi_all(same_models(&alone, &together)));
  for (int d = 0; d < EF_DIRECTION_COUNT; d++) {
    uint64_t wanted = par.rank == 0 ? alone.rounds.formula[d] : 0;
    cr_assert(mpi_all(ef_ledger_total(&together.ledger, (ef_direction)d) == wanted));
  }
  rounds_sample_close(&alone);
  rounds_sample_close(&together);
  ef_par_finish(&par);
}

MPI_TEST(rivals_rounds, fedavg_has_the_bits_of_one_rank) { check_bits(false); }
MPI_TEST(rivals_rounds, fedjets_has_the_bits_of_one_rank) { check_bits(true); }

/* One rank is told to stop; what is there is found again and nothing is counted twice. */
MPI_TEST(rivals_rounds, a_stopped_run_goes_on) {
  rounds_sample whole, stopped;
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  rounds_sample_open(&whole, NULL, true, overrides);
  cr_assert(mpi_all(rounds_sample_run(&whole) == EF_OK), "%s", ef_message());
  rounds_sample_open(&stopped, &par, true, overrides);
  if (par.rank == par.size - 1) raise(SIGUSR1);
  cr_assert(mpi_all(rounds_sample_run(&stopped) == EF_STOPPED), "%s", ef_message());
  cr_assert(mpi_all(ef_stop_setup(&stopped.t.run.stop, NULL, 0.0) == EF_OK));
  stopped.t.run.stopping = false;
  for (int again = 0; again < 2; again++) {
    cr_assert(mpi_all(rounds_sample_run(&stopped) == EF_OK), "%s", ef_message());
    cr_assert(mpi_all(same_records(&whole, &stopped) && same_models(&whole, &stopped)));
    uint64_t up = ef_ledger_total(&stopped.ledger, EF_UP);
    cr_assert(mpi_all(up == (par.rank == 0 ? whole.rounds.formula[EF_UP] : 0)));
  }
  rounds_sample_close(&whole);
  rounds_sample_close(&stopped);
  ef_par_finish(&par);
}
