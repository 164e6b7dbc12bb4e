/* The exact knapsack against all subsets, its VCG payments against the optima without each winner, its ties,
 * its independence of the unit, and its refusal of tables that are too large.
 */
#include "base/memory.h"
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const ef_setting setting = {.aeria = {.c = 2}};
static const ef_coin coin = {0};

static bool enters(const ef_market *m, size_t i) {
  const double net = plain_net(m, i);
  return net > 0 && net >= m->margin * m->unit_cost && m->demand[i] <= m->capacity;
}

/* Net value of a subset, -1 if it does not fit or holds somebody who may not enter. */
static double worth(const ef_market *m, unsigned subset) {
  double value = 0;
  int64_t units = 0;
  for (size_t i = 0; i < m->n; i++) {
    if (!(subset >> i & 1u)) continue;
    if (!enters(m, i)) return -1;
    value += m->bid[i] - m->unit_cost * (double)m->demand[i];
    units += m->demand[i];
  }
  return units <= m->capacity ? value : -1;
}

/* Whether x comes first in index order: where they first differ, it has the smaller index. */
static bool first(unsigned x, unsigned y) {
  const unsigned differ = x ^ y;
  return (x & (differ & (0u - differ))) != 0;
}

/* The best subset without the members of `left_out`. */
static unsigned best_subset(const ef_market *m, unsigned left_out, double *value) {
  unsigned best = 0;
  *value = 0;
  for (unsigned subset = 0; subset < 1u << m->n; subset++) {
    if (subset & left_out) continue;
    const double w = worth(m, subset);
    if (w > *value || (w == *value && subset != best && first(subset, best))) {
      *value = w;
      best = subset;
    }
  }
  return best;
}

static void clear(ef_auction *a, const ef_market *m, ef_award *awards) {
  cr_assert_eq(ef_mechanism_find("knapsack-vcg")->clear(a, m, &setting, &coin, awards), EF_OK);
}

static void assert_vcg(const ef_market *m, const ef_award *awards) {
  double value, without;
  const unsigned best = best_subset(m, 0, &value);
  double got = 0;
  for (size_t i = 0; i < m->n; i++) {
    const double units = (double)m->demand[i], net = m->bid[i] - m->unit_cost * units;
    const bool wins = awards[i].fate == EF_FATE_WIN;
    cr_assert_eq(wins, (best >> i & 1u) != 0, "bidder %zu of %zu", i, m->n);
    if (!wins) continue;
    got += net;
    best_subset(m, 1u << i, &without);
    const double lost = fmax(without - (value - net), m->margin * m->unit_cost * units);
    const double payment = lost + m->unit_cost * units;
    cr_assert_float_eq(awards[i].payment, payment, 1e-9 * (1 + value), "bidder %zu pays %.17g, not %.17g", i,
                       awards[i].payment, payment);
  }
  cr_assert_float_eq(got, value, 1e-9 * (1 + value));
}

Test(rival_knapsack, all_subsets) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(61, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST];
  for (int round = 0; round < 400; round++) {
    const plain_market store = plain_random(&rng, 1, round % 10 ? 8 : 12);
    const ef_market m = plain_view(&store);
    clear(a, &m, awards);
    assert_vcg(&m, awards);
  }
  ef_auction_free(a);
}

/* Small integers at no cost: sums are exact, and many sets tie. */
Test(rival_knapsack, ties_go_to_the_first_in_index_order) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(62, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST];
  for (int round = 0; round < 400; round++) {
    plain_market store = {.n = 7, .capacity = 3 + (int64_t)ef_rng_below(&rng, 8)};
    for (size_t i = 0; i < store.n; i++) {
      store.bid[i] = (double)ef_rng_below(&rng, 4);
      store.demand[i] = 1 + (int64_t)ef_rng_below(&rng, 3);
    }
    const ef_market m = plain_view(&store);
    clear(a, &m, awards);
    assert_vcg(&m, awards);
  }
  ef_auction_free(a);
}

/* The same market in units a billion times as fine. */
Test(rival_knapsack, is_free_of_the_unit) {
  enum { FINE = 1000000000 };
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(63, EF_RNG_TEST, 0, 0);
  ef_award coarse[PLAIN_MOST], fine[PLAIN_MOST];
  for (int round = 0; round < 100; round++) {
    plain_market store = plain_random(&rng, 1, 20);
    store.unit_cost = 0;
    ef_market m = plain_view(&store);
    clear(a, &m, coarse);
    for (size_t i = 0; i < m.n; i++) store.demand[i] *= FINE;
    m.capacity = m.capacity * FINE + FINE - 1;
    clear(a, &m, fine);
    for (size_t i = 0; i < m.n; i++) {
      cr_assert_eq(fine[i].fate, coarse[i].fate);
      cr_assert_float_eq(fine[i].payment, coarse[i].payment, 1e-9 * (1 + coarse[i].payment));
    }
  }
  ef_auction_free(a);
}

Test(rival_knapsack, refuses_a_table_too_large) {
  ef_auction *a = plain_auction();
  const double bid[] = {3, 2};
  const int64_t demand[] = {INT64_C(4000000000), INT64_C(4000000001)};
  const ef_market m = {2, bid, demand, INT64_C(5000000000), 0, 0};
  ef_award awards[2];
  cr_assert_eq(ef_mechanism_find("knapsack-vcg")->clear(a, &m, &setting, &coin, awards), EF_INPUT);
  cr_assert_not_null(strstr(ef_message(), "2 bidders and 5000000000 units"), "%s", ef_message());
  ef_auction_free(a);
}

/* Nothing else is allocated by any mechanism, and the tables are given back. */
Test(rival_knapsack, gives_its_tables_back) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(64, EF_RNG_TEST, 0, 0);
  const plain_market store = plain_random(&rng, 20, 20);
  const ef_market m = plain_view(&store);
  ef_award awards[PLAIN_MOST];
  for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++) {
    ef_memory_reset_peak();
    const size_t held = ef_memory_bytes();
    cr_assert_eq(rule->clear(a, &m, &setting, &coin, awards), EF_OK);
    cr_assert_eq(ef_memory_bytes(), held);
    cr_assert_eq(ef_memory_peak() > held, strcmp(rule->name, "knapsack-vcg") == 0, "%s", rule->name);
  }
  ef_auction_free(a);
}
