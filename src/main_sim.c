/* edgefuse-sim: real optimiser steps of a small Mixture-of-Experts on a simulated cluster (SimGrid), with the
 * code that trains on a real one, and the times that step/step_time.h foretells. scripts/simgrid.sh runs it.
 * Ranks are library copies in one process; smpicc's clock_gettime, and so ef_clock, tells simulated time.
 */
#include "sim/kernels.h"
#include "sim/options.h"
#include "sim/report.h"
#include "sim/work.h"

#include <stdio.h>

static ef_status run(ef_par *par, int argc, char **argv) {
  ef_sim_options options;
  ef_sim_outcome outcome;
  ef_dims dims;
  EF_TRY(ef_sim_options_read(argc, argv, &options));
  EF_TRY(ef_sim_dims(&options, &dims));
  EF_TRY(EF_CHECK(dims.L <= EF_SIM_LAYERS, EF_INPUT, "--layers %zu: at most %d", dims.L, EF_SIM_LAYERS));
  EF_TRY(ef_sim_work(par, &options, &dims, &outcome));
  return ef_par_root(par) ? ef_sim_report(par, &options, &dims, &outcome) : EF_OK;
}

int main(int argc, char **argv) {
  ef_par par;
  ef_status status = ef_par_start(&argc, &argv, &par);
  if (status == EF_OK) status = run(&par, argc, argv);
  if (status != EF_OK && ef_par_root(&par)) fprintf(stderr, "edgefuse-sim: %s\n", ef_message());
  if (status != EF_OK) ef_par_abort(&par, ef_status_exit_code(status));
  ef_par_finish(&par);
  return 0;
}
