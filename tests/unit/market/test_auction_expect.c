/* Expectations over the coin: against brute force, closed forms and the bounds that aeria.md proves. */
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>

static const double best_branch = 0.59061610914964124; /* 1 / (1 + ln 2) */

static ef_expectation expect(const plain_market *store, const ef_aeria *rule) {
  ef_auction *a = plain_auction();
  const ef_market m = plain_view(store);
  ef_award scratch[PLAIN_MOST];
  ef_expectation e;
  ef_aeria_expect(a, &m, rule, scratch, &e);
  ef_auction_free(a);
  return e;
}

static plain_market unit_market(size_t n, double bid) {
  plain_market m = {.n = n, .capacity = 1000};
  for (size_t i = 0; i < n; i++) {
    m.bid[i] = bid;
    m.demand[i] = 1;
  }
  return m;
}

/* Midpoint rule over u on whole clearings of the core; the rest is the Vickrey branch. */
static ef_expectation by_midpoints(ef_auction *a, const ef_market *m, const ef_aeria *rule, size_t points) {
  ef_expectation e = {0};
  ef_award awards[PLAIN_MOST];
  const double weight = (1 - rule->vickrey_prob) / (double)points;
  ef_auction_load(a, m);
  for (size_t k = 0; k <= points; k++) {
    const bool branch = k == points;
    const ef_coin coin = {branch ? 0 : ((double)k + 0.5) / (double)points, branch ? 0 : 1};
    const double w = branch ? rule->vickrey_prob : weight;
    ef_clearing facts;
    if (w == 0) continue;
    ef_aeria_clear_loaded(a, m, rule, &coin, awards, &facts);
    cr_assert_eq(facts.vickrey, branch);
    const ef_sale sale = ef_sale_sum(m, awards);
    e.profit += w * sale.profit;
    e.revenue += w * sale.revenue;
    e.winners += w * (double)sale.winners;
    e.used += w * (double)sale.used;
    if (!branch) e.consensus += facts.consensus ? 1 / (double)points : 0;
  }
  return e;
}

static void compare_with_midpoints(ef_rng *rng, int round, size_t most, size_t points) {
  ef_auction *a = plain_auction();
  const double ratios[] = {1.3, 2, 6.4};
  const plain_market store = plain_random(rng, 2, most);
  const ef_market m = plain_view(&store);
  const ef_aeria rule = {ratios[round % 3], round % 2 ? 0.3 : 0, (ef_variant)(round / 3 % 3)};
  const ef_expectation e = expect(&store, &rule), plain = by_midpoints(a, &m, &rule, points);
  ef_auction_load(a, &m);
  const ef_kept s = ef_auction_kept(a);
  /* each bidder's price jumps at most once per step and place: a midpoint is off by one cell there */
  const double jumps = 3 * (double)(s.kept + 2) / (double)points,
               units = s.kept ? (double)s.total[s.kept - 1] : 0;
  const double worth = ef_benchmark_f(&s) + m.unit_cost * units + 1e-9;
  cr_assert_float_eq(e.profit, plain.profit, worth * jumps, "round %d: %g %g", round, e.profit, plain.profit);
  cr_assert_float_eq(e.revenue, plain.revenue, worth * jumps);
  cr_assert_float_eq(e.used, plain.used, units * jumps + 1e-9);
  cr_assert_float_eq(e.winners, plain.winners, (double)s.kept * jumps + 1e-9);
  cr_assert_float_eq(e.consensus, plain.consensus, jumps);
  cr_assert(e.profit >= e.bound * (1 - 1e-12));
  ef_auction_free(a);
}

Test(auction_expect, agrees_with_many_coins) {
  ef_rng rng = ef_rng_stream(21, EF_RNG_TEST, 0, 0);
  for (int round = 0; round < 300; round++) compare_with_midpoints(&rng, round, 12, 2000);
  for (int round = 0; round < 9; round++) compare_with_midpoints(&rng, round, 12, 100000);
  for (int round = 0; round < 9; round++) compare_with_midpoints(&rng, round, 60, 20000);
}

/* n equal unit bids b, room for all: estimates V c^-U of V = (n-1) b (T) or n b (E), all served. */
Test(auction_expect, equal_bids_in_closed_form) {
  for (size_t n = 3; n <= 40; n += 7) {
    const plain_market m = unit_market(n, 2.5);
    for (double c = 1.1; c < 8; c *= 1.7) {
      const double share = (1 - 1 / c) / log(c), all = 2.5 * (double)n, rest = 2.5 * ((double)n - 1);
      const ef_expectation t = expect(&m, &(ef_aeria){c, 0, EF_VARIANT_T});
      const ef_expectation e = expect(&m, &(ef_aeria){c, 0, EF_VARIANT_E});
      const ef_expectation v = expect(&m, &(ef_aeria){c, 0.25, EF_VARIANT_T});
      cr_assert_float_eq(t.profit, rest * share, 1e-12 * all);
      cr_assert_float_eq(t.winners, (double)n, 1e-12 * all);
      cr_assert_float_eq(t.consensus, 1, 1e-12);
      cr_assert_float_eq(e.profit, all * share, 1e-12 * all);
      cr_assert_float_eq(e.bound, e.profit, 1e-12 * all);
      cr_assert_float_eq(v.profit, 0.75 * rest * share + 0.25 * 2.5, 1e-12 * all);
    }
  }
}

/* Three of four equal bids fit: the floor is the bid itself, and the price never varies. */
Test(auction_expect, floor_is_always_earned) {
  plain_market m = unit_market(4, 3);
  m.capacity = 3;
  const ef_expectation e = expect(&m, &(ef_aeria){2, 0, EF_VARIANT_T});
  cr_assert_float_eq(e.profit, 9, 1e-12);
  cr_assert_float_eq(e.used, 3, 1e-12);
  m.unit_cost = 1;
  const ef_expectation costly = expect(&m, &(ef_aeria){2, 0, EF_VARIANT_T});
  cr_assert_float_eq(costly.profit, 6, 1e-12);
  cr_assert_float_eq(costly.revenue, 9, 1e-12);
}

/* Unit bids 4, 1, 1: whoever leaves, two at price 1 are left, so V = 2 for all. */
Test(auction_expect, three_bids_by_hand) {
  plain_market m = unit_market(3, 1);
  m.bid[0] = 4;
  const ef_expectation e = expect(&m, &(ef_aeria){2, 0, EF_VARIANT_T});
  /* F_k = 4, 2, 3: R <= 2 is shared by all three */
  cr_assert_float_eq(e.profit, 2 * 0.5 / log(2), 1e-12);
  cr_assert_float_eq(e.winners, 3, 1e-12);
}

/* Two equal bids attain 2 + 2 ln 2: the core earns nothing, the Vickrey branch one bid. */
Test(auction_expect, bound_of_unit_demand_is_attained) {
  const plain_market m = unit_market(2, 7);
  const ef_expectation e = expect(&m, &(ef_aeria){2, best_branch, EF_VARIANT_T});
  cr_assert_float_eq(14 / e.profit, 2 + 2 * log(2), 1e-12);
}

static double ratio_of(const plain_market *store, const ef_aeria *rule) {
  ef_auction *a = plain_auction();
  const ef_market m = plain_view(store);
  ef_auction_load(a, &m);
  const ef_kept s = ef_auction_kept(a);
  const double f2 = ef_benchmark_f2(&s);
  ef_auction_free(a);
  return f2 > 0 ? f2 / expect(store, rule).profit : 0;
}

/* Families that are hard for consensus: equal revenue, geometric bids, few giants, demands of many sizes. */
static plain_market hard_market(ef_rng *rng, bool units) {
  plain_market m = {.n = 2 + ef_rng_below(rng, 12), .capacity = INT64_C(1) << 40};
  const uint64_t family = ef_rng_below(rng, 4);
  const double base = 1 + 3 * ef_rng_uniform(rng);
  int64_t sum = 0;
  for (size_t i = 0; i < m.n; i++) {
    m.demand[i] = units ? 1 : (int64_t)floor(exp(ef_rng_uniform(rng) * (family == 2 ? 8 : 2)));
    sum += m.demand[i];
    double density = 1 / (double)sum;
    if (family == 1) density = pow(base, -(double)i);
    if (family == 2) density = i < 2 ? 1000 : 1;
    if (family == 3) density = exp(2 * ef_rng_normal(rng));
    m.bid[i] = density * (double)m.demand[i];
  }
  return m;
}

Test(auction_expect, competitive_on_hard_markets) {
  const ef_aeria unit_rule = {2, best_branch, EF_VARIANT_T}, rule = {6.4, 0.305, EF_VARIANT_T};
  ef_rng rng = ef_rng_stream(22, EF_RNG_TEST, 0, 0);
  double worst_unit = 0, worst = 0;
  for (int round = 0; round < 8000; round++) {
    const plain_market unit = hard_market(&rng, true), any = hard_market(&rng, false);
    worst_unit = fmax(worst_unit, ratio_of(&unit, &unit_rule));
    worst = fmax(worst, ratio_of(&any, &rule));
  }
  cr_assert(worst_unit <= 2 + 2 * log(2) + 1e-9, "%g", worst_unit);
  cr_assert(worst <= 7.77, "%g", worst);
  cr_assert(worst > 4, "the families are too easy: %g", worst);
}

/* M equal winners at the optimum: the ratio is at most the best c, and consensus at least as likely as said.
 */
Test(auction_expect, constants_by_number_of_winners) {
  const struct {
    size_t winners;
    double c, consensus;
  } rows[] = {{3, 3.283, .659},  {4, 2.615, .701},  {5, 2.281, .729},
              {10, 1.702, .802}, {20, 1.427, .856}, {50, 1.240, .906}};
  ef_rng rng = ef_rng_stream(23, EF_RNG_TEST, 0, 0);
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
    for (int round = 0; round < 50; round++) {
      plain_market m = unit_market(rows[r].winners, 1);
      for (size_t i = 0; i < m.n; i++) m.bid[i] += round == 0 ? 0 : 0.1 * ef_rng_uniform(&rng) / (double)m.n;
      const ef_aeria rule = {rows[r].c, 0, EF_VARIANT_T};
      cr_assert(ratio_of(&m, &rule) <= rows[r].c * (1 + 2e-3));
      cr_assert(expect(&m, &rule).consensus >= rows[r].consensus - 2e-3);
    }
}
