/* Greedy with critical payments: winners against a plain greedy, and each payment against bisection on the
 * bid with that greedy.
 */
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>

static const ef_setting setting = {.aeria = {.c = 2}};
static const ef_coin coin = {0};

static bool enters(const ef_market *m, size_t i) {
  const double net = plain_net(m, i);
  return net > 0 && net >= m->margin * m->unit_cost && m->demand[i] <= m->capacity;
}

/* Again and again the densest that is left, smallest index first; served if it fits. */
static void plain_greedy(const ef_market *m, bool *wins) {
  bool done[PLAIN_MOST] = {false};
  int64_t left = m->capacity;
  for (size_t i = 0; i < m->n; i++) wins[i] = false;
  for (;;) {
    size_t best = m->n;
    for (size_t i = 0; i < m->n; i++)
      if (!done[i] && enters(m, i) && (best == m->n || plain_net(m, i) > plain_net(m, best))) best = i;
    if (best == m->n) return;
    done[best] = true;
    wins[best] = m->demand[best] <= left;
    if (wins[best]) left -= m->demand[best];
  }
}

/* The least bid with which i still wins, between 0 and the bid that wins. */
static double bisect(plain_market *store, size_t i) {
  bool wins[PLAIN_MOST];
  const double truth = store->bid[i];
  double low = 0, high = truth;
  for (int step = 0; step < 60; step++) {
    store->bid[i] = 0.5 * (low + high);
    const ef_market m = plain_view(store);
    plain_greedy(&m, wins);
    if (wins[i])
      high = store->bid[i];
    else
      low = store->bid[i];
  }
  store->bid[i] = truth;
  return high;
}

Test(rival_greedy, critical_payments_by_bisection) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(51, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST], bids[PLAIN_MOST];
  bool wins[PLAIN_MOST];
  size_t winners = 0;
  for (int round = 0; round < 600; round++) {
    plain_market store = plain_random(&rng, 1, round % 20 ? 10 : 30);
    const ef_market m = plain_view(&store);
    plain_greedy(&m, wins);
    cr_assert_eq(ef_mechanism_find("greedy-critical")->clear(a, &m, &setting, &coin, awards), EF_OK);
    cr_assert_eq(ef_mechanism_find("pay-as-bid")->clear(a, &m, &setting, &coin, bids), EF_OK);
    for (size_t i = 0; i < m.n; i++) {
      cr_assert_eq(awards[i].fate == EF_FATE_WIN, wins[i], "bidder %zu of %zu", i, m.n);
      cr_assert_eq(bids[i].fate, awards[i].fate);
      if (!wins[i]) continue;
      winners++;
      const double least = bisect(&store, i);
      cr_assert_float_eq(awards[i].payment, least, 1e-9 * (1 + least), "bidder %zu pays %.17g, not %.17g", i,
                         awards[i].payment, least);
      cr_assert_eq(bids[i].payment, m.bid[i]);
    }
  }
  cr_assert(winners > 1000);
  ef_auction_free(a);
}
