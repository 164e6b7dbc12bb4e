#include "market/auction.h"

/* Net density under the reserve (auction.h). */
static bool reserved(const ef_market *m, size_t i) {
  const double net = m->bid[i] / (double)m->demand[i] - m->unit_cost;
  return !(net > 0 && net >= m->margin * m->unit_cost);
}

static double net_total(const ef_market *m, size_t i) {
  return m->bid[i] - m->unit_cost * (double)m->demand[i];
}

static void serve(const ef_market *m, size_t winner, double second, ef_award *awards) {
  const double demand = (double)m->demand[winner], least = m->margin * m->unit_cost * demand;
  const double payment = (second > least ? second : least) + m->unit_cost * demand;
  awards[winner] = (ef_award){EF_FATE_WIN, payment / demand, payment};
}

void ef_vickrey_clear(const ef_market *market, ef_award *awards) {
  size_t candidates = 0, winner = 0;
  double first = 0, second = 0;
  for (size_t i = 0; i < market->n; i++) {
    awards[i] = (ef_award){.fate = EF_FATE_LOSE};
    if (reserved(market, i))
      awards[i].fate = EF_FATE_RESERVE;
    else if (market->demand[i] > market->capacity)
      awards[i].fate = EF_FATE_PRUNED;
    if (awards[i].fate != EF_FATE_LOSE) continue;
    const double net = net_total(market, i);
    if (candidates++ == 0 || net > first) {
      second = first;
      first = net;
      winner = i;
    } else if (net > second) {
      second = net;
    }
  }
  if (candidates >= 2) serve(market, winner, second, awards);
}
