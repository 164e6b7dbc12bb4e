#include "base/clock.h"
#include "base/log.h"
#include "step/exchange_internal.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TRIALS = 4 }; /* the first one warms up */

bool ef_route_stages(const ef_exchange *x) {
  size_t rank = 0, node = 0;
  if (x->routed) return x->route == EF_BY_NODE;
  if (x->par->nodes.count == 1) return false;
  ef_staging_rows(x, &rank, &node);
  return 2 * node * x->model->dims.D * sizeof(float) <= EF_STAGING_MOST;
}

/* The bytes of all ranks' rows together bound what any of them sends or receives, the same on all ranks. */
static bool fits_vector(const ef_exchange *x) {
  double rows = (double)x->max_rows * (double)x->model->dims.K * x->par->size;
  return rows * (double)x->model->dims.D * sizeof(float) < INT_MAX;
}

static bool possible(const ef_exchange *x, ef_route route) {
  if (route == EF_VECTOR) return fits_vector(x);
  return route == EF_PAIRWISE || x->staged;
}

/* Least time of some trials, in nanoseconds, of the slowest rank. */
static ef_status time_route(ef_exchange *x, int tag, const float *send, float *recv, int64_t *time) {
  double seconds = INFINITY;
  for (int trial = 0; trial < TRIALS; trial++) {
    EF_TRY(ef_barrier(x->par));
    double start = ef_clock();
    EF_TRY(ef_rows_begin(x, tag, x->flow.to, send, x->flow.from, recv));
    EF_TRY(ef_rows_end(x, tag));
    if (trial > 0) seconds = fmin(seconds, ef_clock() - start);
  }
  return ef_most(x->par, (int64_t)(seconds * 1e9), time);
}

ef_status ef_route_choose(ef_exchange *x, int tag, const float *send, float *recv) {
  char text[160] = "";
  int64_t best = INT64_MAX, time;
  ef_route fastest = EF_PAIRWISE;
  x->routed = true;
  if (x->par->size == 1) return EF_OK;
  for (ef_route route = 0; route < EF_ROUTE_COUNT; route++) {
    if (!possible(x, route)) continue;
    x->route = route;
    EF_TRY(time_route(x, tag, send, recv, &time));
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s %.3g ms", used ? ", " : "", ef_route_name(route),
             1e-6 * (double)time);
    if (time >= best) continue;
    best = time;
    fastest = route;
  }
  x->route = fastest;
  if (ef_par_root(x->par)) ef_log(EF_LOG_VERBOSE, "exchange of tokens: %s; %s", text, ef_route_name(fastest));
  return EF_OK;
}
