/* What the mechanism promises, coin by coin: no misreport gains, nobody pays more than its bid, capacity,
 * reserve, one price and the budget under consensus. Values are the bids that are misreported from.
 */
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>

static const double slack = 1e-9;

static double utility(const ef_award *award, double value) {
  return award->fate == EF_FATE_WIN ? value - award->payment : 0;
}

/* All integer bids 0..7 of three bidders, every misreport of each, under eight coins. */
typedef struct grid {
  plain_market store;
  ef_aeria rule;
  size_t gains, tests;
  size_t gains_same_estimate; /* although the bidder's leaving does not change the estimate */
  double worst;
} grid;

enum { BIDS = 8, COINS = 8 };

/* Whether R(F2(S)) = R(F2(S minus i)) at the truth. */
static bool estimate_without_is_same(const ef_market *m, size_t i, const ef_aeria *rule, double u) {
  double floor;
  const plain_set s = plain_prefix(m, SIZE_MAX, &floor), rest = plain_minus(&s, i);
  return plain_estimate(plain_f2(m, &s), rule->c, u) == plain_estimate(plain_f2(m, &rest), rule->c, u);
}

static void misreport_all(ef_auction *a, grid *g, const ef_market *m, const ef_coin *coin) {
  ef_award truth[3], lie[3];
  ef_aeria_clear(a, m, &g->rule, coin, truth, NULL);
  for (size_t i = 0; i < 3; i++) {
    const double value = m->bid[i], honest = utility(&truth[i], value);
    cr_assert(honest >= -slack);
    double gain = 0;
    for (int b = 0; b < BIDS; b++) {
      ef_auction_deviate(a, m, i, b);
      ef_aeria_clear_loaded(a, m, &g->rule, coin, lie, NULL);
      gain = fmax(gain, utility(&lie[i], value) - honest);
      g->tests++;
    }
    g->worst = fmax(g->worst, gain);
    if (gain <= slack) continue;
    g->gains++;
    if (g->rule.variant == EF_VARIANT_E && estimate_without_is_same(m, i, &g->rule, coin->u))
      g->gains_same_estimate++;
  }
}

static void run_grid(ef_auction *a, grid *g) {
  const ef_market m = plain_view(&g->store);
  for (int code = 0; code < BIDS * BIDS * BIDS; code++) {
    for (int i = 0, rest = code; i < 3; i++, rest /= BIDS) g->store.bid[i] = rest % BIDS;
    for (int k = 0; k < COINS; k++) misreport_all(a, g, &m, &(ef_coin){(k + 0.37) / COINS, 0});
  }
}

static const struct {
  int64_t demand[3], capacity;
  double unit_cost, margin;
} grids[] = {{{1, 1, 1}, 3, 0, 0},     {{1, 1, 1}, 2, 0, 0}, {{1, 2, 3}, 6, 0, 0},
             {{1, 2, 3}, 4, 0.3, 0.5}, {{2, 2, 1}, 3, 0, 0}, {{3, 1, 1}, 4, 0.5, 0}};

static grid run_grids(ef_aeria rule) {
  ef_auction *a = plain_auction();
  grid g = {.rule = rule};
  for (size_t k = 0; k < sizeof grids / sizeof *grids; k++) {
    g.store = (plain_market){.n = 3, .capacity = grids[k].capacity};
    g.store.unit_cost = grids[k].unit_cost;
    g.store.margin = grids[k].margin;
    for (size_t i = 0; i < 3; i++) g.store.demand[i] = grids[k].demand[i];
    run_grid(a, &g);
  }
  ef_auction_free(a);
  cr_assert_eq(g.tests, 6 * 512 * COINS * 3 * BIDS);
  return g;
}

Test(auction_truth, no_integer_misreport_gains_in_T) {
  const grid g = run_grids((ef_aeria){2, 0, EF_VARIANT_T});
  cr_assert_eq(g.gains, 0, "%zu, worst %g", g.gains, g.worst);
}

Test(auction_truth, no_integer_misreport_gains_in_D) {
  const grid g = run_grids((ef_aeria){1.5, 0, EF_VARIANT_D});
  cr_assert_eq(g.gains, 0, "%zu, worst %g", g.gains, g.worst);
}

Test(auction_truth, no_integer_misreport_gains_in_the_vickrey_branch) {
  const grid g = run_grids((ef_aeria){2, 0.5, EF_VARIANT_T});
  cr_assert_eq(g.gains, 0, "%zu, worst %g", g.gains, g.worst);
}

Test(auction_truth, E_can_be_gamed_only_where_a_bid_moves_the_estimate) {
  const grid g = run_grids((ef_aeria){2, 0, EF_VARIANT_E});
  cr_assert_gt(g.gains, 0);
  cr_assert_eq(g.gains_same_estimate, 0, "%zu", g.gains_same_estimate);
}

/* Misreports around every rival's density, on random markets; variant T, D and mixtures with the branch. */
Test(auction_truth, no_misreport_at_rival_densities_gains) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(31, EF_RNG_TEST, 0, 0);
  ef_award truth[PLAIN_MOST], lie[PLAIN_MOST];
  for (int round = 0; round < 500; round++) {
    const plain_market store = plain_random(&rng, 2, 14);
    const ef_market m = plain_view(&store);
    const ef_aeria rule = {round % 2 ? 2 : 1.2, round % 5 ? 0 : 0.5, round % 3 ? EF_VARIANT_T : EF_VARIANT_D};
    const ef_coin coin = {ef_rng_uniform(&rng), ef_rng_uniform(&rng)};
    ef_aeria_clear(a, &m, &rule, &coin, truth, NULL);
    for (size_t i = 0; i < m.n; i++)
      for (size_t j = 0; j < m.n; j++)
        for (int side = -1; side <= 1; side++) {
          const double rival = m.bid[j] / (double)m.demand[j] * (double)m.demand[i];
          ef_auction_deviate(a, &m, i, i == j ? m.bid[i] * (1 + 0.4 * side) : rival * (1 + 1e-6 * side));
          ef_aeria_clear_loaded(a, &m, &rule, &coin, lie, NULL);
          const double gain = utility(&lie[i], m.bid[i]) - utility(&truth[i], m.bid[i]);
          cr_assert(gain <= slack * m.bid[i], "round %d bidder %zu gains %g", round, i, gain);
        }
  }
  ef_auction_free(a);
}

/* Variant D: a larger demand, with any bid, gains nothing either; in T it can. */
static double over_stated_gain(ef_auction *a, ef_auction *base, plain_market *store, const ef_aeria *rule,
                               double u) {
  ef_award truth[PLAIN_MOST], lie[PLAIN_MOST];
  const ef_market m = plain_view(store);
  const ef_coin coin = {u, 0};
  double worst = 0;
  ef_aeria_clear(base, &m, rule, &coin, truth, NULL);
  for (size_t i = 0; i < m.n; i++) {
    const int64_t demand = store->demand[i];
    const double bid = store->bid[i], honest = utility(&truth[i], bid);
    for (int more = 1; more <= 3; more++)
      for (int part = 1; part <= 6; part++) {
        store->demand[i] = demand + more;
        store->bid[i] = bid * part / 3;
        ef_aeria_clear(a, &m, rule, &coin, lie, NULL);
        worst = fmax(worst, (utility(&lie[i], bid) - honest) / bid);
      }
    store->demand[i] = demand;
    store->bid[i] = bid;
  }
  return worst;
}

Test(auction_truth, over_stated_demand_gains_nothing_in_D) {
  ef_auction *a = plain_auction(), *base = plain_auction();
  ef_rng rng = ef_rng_stream(32, EF_RNG_TEST, 0, 0);
  double worst_t = 0, worst_d = 0;
  for (int round = 0; round < 1500; round++) {
    plain_market store = plain_random(&rng, 3, 8);
    for (size_t i = 0; i < store.n; i++) store.bid[i] += 0.01;
    const double u = ef_rng_uniform(&rng);
    worst_d = fmax(worst_d, over_stated_gain(a, base, &store, &(ef_aeria){2, 0, EF_VARIANT_D}, u));
    worst_t = fmax(worst_t, over_stated_gain(a, base, &store, &(ef_aeria){2, 0, EF_VARIANT_T}, u));
  }
  cr_assert(worst_d <= slack, "%g", worst_d);
  cr_assert(worst_t > 0.01, "the markets are too easy: %g", worst_t);
  ef_auction_free(a);
  ef_auction_free(base);
}

/* What holds for every coin, whatever the variant. */
static void assert_sound(const ef_market *m, const ef_award *awards, const ef_clearing *facts) {
  const double least = m->unit_cost * (1 + m->margin);
  double paid = 0;
  int64_t used = 0;
  for (size_t i = 0; i < m->n; i++) {
    if (awards[i].fate != EF_FATE_WIN) {
      cr_assert(awards[i].payment == 0 && awards[i].unit_price == 0);
      continue;
    }
    cr_assert(awards[i].payment <= m->bid[i] * (1 + slack));
    cr_assert(awards[i].unit_price >= least * (1 - slack));
    paid += awards[i].payment;
    used += m->demand[i];
  }
  cr_assert(used <= m->capacity);
  const ef_sale sale = ef_sale_sum(m, awards);
  cr_assert_eq(sale.used, used);
  cr_assert_float_eq(sale.revenue, paid, slack * (1 + paid));
  cr_assert_float_eq(sale.profit, paid - m->unit_cost * (double)used, slack * (1 + paid));
  size_t counted = 0;
  for (size_t e = 0; e < facts->estimate_count; e++) {
    cr_assert(e == 0 || facts->estimates[e] < facts->estimates[e - 1]);
    counted += facts->counts[e];
  }
  cr_assert_eq(counted, facts->kept);
}

/* One clearing price, no loser above it, and exactly max(R, phi units) earned. */
static void assert_consensus(const ef_market *m, const ef_award *awards, const ef_clearing *facts) {
  const ef_sale sale = ef_sale_sum(m, awards);
  const double r = facts->estimate_count ? facts->estimates[0] : 0;
  cr_assert(r <= facts->f2);
  cr_assert_eq(sale.winners > 0, r > 0);
  if (r == 0) return;
  cr_assert_float_eq(sale.profit, fmax(r, facts->floor * (double)sale.used), slack * (1 + sale.revenue));
  double price = 0;
  for (size_t i = 0; i < m->n; i++)
    if (awards[i].fate == EF_FATE_WIN) price = awards[i].unit_price;
  for (size_t i = 0; i < m->n; i++) {
    if (awards[i].fate == EF_FATE_WIN) cr_assert_eq(awards[i].unit_price, price);
    const bool fits = m->demand[i] <= m->capacity;
    if (awards[i].fate != EF_FATE_WIN && fits)
      cr_assert(m->bid[i] / (double)m->demand[i] <= price * (1 + slack), "bidder %zu envies", i);
  }
}

Test(auction_truth, every_clearing_is_sound) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(33, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST];
  size_t agreed = 0, agreed_t = 0;
  for (int round = 0; round < 20000; round++) {
    const plain_market store = plain_random(&rng, 1, 25);
    const ef_market m = plain_view(&store);
    const ef_aeria rule = {round % 2 ? 2 : 1.3, round % 7 ? 0 : 0.5, (ef_variant)(round % 3)};
    const ef_coin coin = {ef_rng_uniform(&rng), ef_rng_uniform(&rng)};
    ef_clearing facts;
    ef_aeria_clear(a, &m, &rule, &coin, awards, &facts);
    assert_sound(&m, awards, &facts);
    cr_assert(rule.variant != EF_VARIANT_E || facts.consensus);
    cr_assert(rule.variant != EF_VARIANT_D || !facts.consensus);
    if (!facts.consensus || facts.vickrey) continue;
    assert_consensus(&m, awards, &facts);
    agreed++;
    agreed_t += rule.variant == EF_VARIANT_T && facts.estimate_count == 1;
  }
  cr_assert(agreed > 5000 && agreed_t > 1000);
  ef_auction_free(a);
}

/* Highest net total, second highest paid; the reserve; a tie; one candidate alone. */
Test(auction_truth, vickrey_by_hand) {
  const double bid[] = {10, 9, 4, 30};
  const int64_t demand[] = {2, 3, 1, 9};
  ef_award w[4];
  ef_vickrey_clear(&(ef_market){4, bid, demand, 8, 1, 0}, w); /* net 8, 6, 3, and one that does not fit */
  cr_assert_eq(w[0].fate, EF_FATE_WIN);
  cr_assert_eq(w[0].payment, 6 + 2);
  cr_assert_eq(w[0].unit_price, 4);
  cr_assert_eq(w[1].fate, EF_FATE_LOSE);
  cr_assert_eq(w[3].fate, EF_FATE_PRUNED);
  ef_vickrey_clear(&(ef_market){4, bid, demand, 9, 1, 0}, w); /* net 8, 6, 3, 21 */
  cr_assert_eq(w[3].payment, 8 + 9);
  ef_vickrey_clear(&(ef_market){4, bid, demand, 9, 1, 2.5}, w); /* r 4, 2, 3, 2.33 against 2.5 */
  cr_assert_eq(w[1].fate, EF_FATE_RESERVE);
  cr_assert_eq(w[3].fate, EF_FATE_RESERVE);
  cr_assert_eq(w[0].payment, 2.5 * 2 + 2); /* the reserve is more than the second's 3 */
  ef_vickrey_clear(&(ef_market){4, bid, demand, 8, 1, 3.5}, w);
  for (size_t i = 0; i < 4; i++) cr_assert(w[i].fate != EF_FATE_WIN); /* one candidate */
  const double tie[] = {5, 5};
  ef_vickrey_clear(&(ef_market){2, tie, (int64_t[]){1, 1}, 2, 0, 0}, w);
  cr_assert_eq(w[0].fate, EF_FATE_WIN);
  cr_assert_eq(w[0].payment, 5);
}
