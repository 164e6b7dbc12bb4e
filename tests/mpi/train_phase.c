/* A phase of units over ranks: every unit runs once, records reach all ranks, a stop of one stops all. */
#include "base/memory.h"
#include "support/mpi_test.h"
#include "support/tiny_run.h"
#include "train/record.h"
#include "train/units.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { UNITS = 7, WIDTH = 2 };

static ef_par par;
static tiny_run t;
static double table[UNITS][WIDTH], cost[UNITS];
static int owner[UNITS];
static size_t fails_at = SIZE_MAX, stops_at = SIZE_MAX;

static void pack(void *ctx, size_t unit, double *row) {
  (void)ctx;
  memcpy(row, table[unit], sizeof table[unit]);
}

static void unpack(void *ctx, size_t unit, const double *row) {
  (void)ctx;
  memcpy(table[unit], row, sizeof table[unit]);
}

static const ef_records records = {
    .path = "/x", .description = "x", .width = WIDTH, .pack = pack, .unpack = unpack};

static ef_status run_unit(void *ctx, size_t unit, ef_effort *effort) {
  (void)ctx;
  if (unit == fails_at) return ef_fail(EF_NUMBERS, __FILE__, __LINE__, "unit %zu", unit);
  if (unit == stops_at && raise(SIGUSR1) == 0) return ef_run_told_to_stop(&t.run) ? EF_STOPPED : EF_FAULT;
  table[unit][0] += 1.0;
  table[unit][1] = sqrt((double)unit + 2.0);
  effort->steps += 1.0;
  return EF_OK;
}

static ef_status run_phase(void) {
  memset(table, 0, sizeof table);
  for (size_t u = 0; u < UNITS; u++) cost[u] = 1.0 + (double)(u % 3);
  ef_phase phase = {"phase", UNITS, cost, owner, NULL, run_unit, EF_ON_DEVICES};
  return ef_phase_run(&t.run, &phase);
}

/* The means of what each rank's time was: no data moved, and no rank computed longer than the slowest. */
static bool adds_up(const char *line) {
  double seconds, compute, slowest, exchange, wait, bytes;
  const char *at = strstr(line, "\"seconds\": "), *rest = strstr(line, "\"compute_seconds\": ");
  if (!at || !rest || sscanf(at, "\"seconds\": %lf", &seconds) != 1 ||
      sscanf(
          rest,
          "\"compute_seconds\": %lf, \"slowest_seconds\": %lf, \"exchange_seconds\": %lf, \"wait_seconds\": "
          "%lf, \"exchange_bytes\": %lf}",
          &compute, &slowest, &exchange, &wait, &bytes) != 5)
    return false;
  bool whole = par.size > 1 || (wait == 0.0 && fabs(compute - seconds) < 2e-6);
  return whole && slowest > compute - 2e-6 && (par.size == 1 || wait > 0.0) && exchange == 0.0 &&
         bytes == 0.0;
}

/* The log's only line tells whose work it was, and what all ranks did. */
static bool is_logged(void) {
  char path[4096], line[1024] = "";
  ef_run_path(&t.run, path, sizeof path, "metrics.jsonl");
  FILE *log = fopen(path, "r");
  if (!log) return false;
  bool any = fgets(line, sizeof line, log) != NULL;
  fclose(log);
  return any && strstr(line, "\"name\": \"phase\", \"place\": \"devices\", \"seconds\": ") &&
         strstr(line, "\"steps\": 7, ") && adds_up(line);
}

static void open_run(void) {
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  tiny_run_open(&t, &par, NULL);
}

static void close_run(void) {
  tiny_run_close(&t);
  ef_par_finish(&par);
}

MPI_TEST(train_phase, records_reach_all_ranks) {
  open_run();
  cr_assert(mpi_all(run_phase() == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(par.rank > 0 || is_logged()));
  for (size_t u = 0; u < UNITS; u++) cr_assert(mpi_all(table[u][0] == (owner[u] == par.rank ? 1.0 : 0.0)));
  cr_assert(mpi_all(ef_records_share(&t.run, &records, UNITS, owner) == EF_OK));
  for (size_t u = 0; u < UNITS; u++)
    cr_assert(mpi_all(table[u][0] == 1.0 && table[u][1] == sqrt((double)u + 2.0)));
  close_run();
}

MPI_TEST(train_phase, a_failure_of_one_unit_is_that_of_all_ranks) {
  open_run();
  fails_at = 4;
  cr_assert(mpi_all(run_phase() == EF_NUMBERS));
  cr_assert(mpi_all(strstr(ef_message(), "phase: unit 4") != NULL), "%s", ef_message());
  close_run();
}

MPI_TEST(train_phase, a_stop_of_one_rank_stops_all) {
  open_run();
  stops_at = 5;
  cr_assert(mpi_all(run_phase() == EF_STOPPED), "%s", ef_message());
  cr_assert(mpi_all(t.run.stopping && strstr(ef_message(), "SIGUSR1") != NULL), "%s", ef_message());
  close_run();
}
