#include "base/clock.h"
#include "par/swap_internal.h"

const char *ef_route_name(ef_route route) {
  static const char *const names[EF_ROUTE_COUNT] = {"pairwise", "vector", "two-level"};
  return names[route];
}

void ef_pairs_count(ef_par *par, const ef_pair *pairs) {
  for (int r = 0; r < par->size; r++) par->traffic.bytes += r == par->rank ? 0 : pairs[r].send_bytes;
}

static ef_status begin(ef_par *par, ef_route route, int tag, const ef_pair *pairs) {
  if (route == EF_VECTOR) return ef_vector_begin(par, pairs);
  return route == EF_BY_NODE ? ef_by_node_begin(par, tag, pairs) : ef_pairwise_begin(par, tag, pairs);
}

static ef_status end(ef_par *par, ef_route route, int tag, const ef_pair *pairs) {
  if (route == EF_VECTOR) return ef_vector_end(par);
  return route == EF_BY_NODE ? ef_by_node_end(par, tag, pairs) : ef_pairwise_end(par, tag, pairs);
}

/* Time of calls inside, which count their own, is not counted twice. */
static void count(ef_par *par, double start, double before) {
  par->traffic.exchange_seconds = before + ef_clock() - start;
}

ef_status ef_swap_begin(ef_par *par, ef_route route, int tag, const ef_pair *pairs) {
  double start = ef_clock(), before = par->traffic.exchange_seconds;
  if (par->size == 1) return EF_OK;
  ef_status status = begin(par, route, tag, pairs);
  count(par, start, before);
  return status;
}

ef_status ef_swap_end(ef_par *par, ef_route route, int tag, const ef_pair *pairs) {
  double start = ef_clock(), before = par->traffic.exchange_seconds;
  if (par->size == 1) return EF_OK;
  ef_status status = end(par, route, tag, pairs);
  count(par, start, before);
  return status;
}
