/* The core against its plain twin: order, capacity stage, benchmarks, estimates, whole clearings, deviations.
 */
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static const double ratios[] = {1.2, 2, 6.4};

static void assert_awards(const ef_market *m, const ef_award *x, const ef_award *y) {
  for (size_t i = 0; i < m->n; i++) {
    cr_assert_eq(x[i].fate, y[i].fate, "bidder %zu of %zu: fate %d, not %d", i, m->n, x[i].fate, y[i].fate);
    cr_assert_eq(x[i].unit_price, y[i].unit_price);
    cr_assert_eq(x[i].payment, y[i].payment);
  }
}

Test(auction, clears_as_defined) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(11, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST], plain[PLAIN_MOST];
  for (int round = 0; round < 6000; round++) {
    const plain_market store = plain_random(&rng, 1, round % 10 ? 12 : 60);
    const ef_market m = plain_view(&store);
    const ef_aeria rule = {ratios[round % 3], 0, (ef_variant)(round / 3 % 3)};
    const ef_coin coin = {ef_rng_uniform(&rng), 0};
    ef_clearing facts;
    double floor;
    const plain_set s = plain_prefix(&m, SIZE_MAX, &floor);
    ef_aeria_clear(a, &m, &rule, &coin, awards, &facts);
    plain_clear(&m, &rule, coin.u, plain);
    assert_awards(&m, awards, plain);
    cr_assert_eq(facts.kept, s.count);
    cr_assert_eq(facts.floor, floor);
    cr_assert_eq(facts.f, plain_f(&m, &s));
    cr_assert_eq(facts.f2, plain_f2(&m, &s));
    cr_assert_not(facts.vickrey);
  }
  ef_auction_free(a);
}

Test(auction, benchmark_without_each_is_that_of_the_rest) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(12, EF_RNG_TEST, 0, 0);
  double without[PLAIN_MOST];
  for (int round = 0; round < 4000; round++) {
    const plain_market store = plain_random(&rng, 1, 50);
    const ef_market m = plain_view(&store);
    ef_auction_load(a, &m);
    const ef_kept kept = ef_auction_kept(a);
    ef_benchmark_f2_without(a, without);
    double floor;
    const plain_set s = plain_prefix(&m, SIZE_MAX, &floor);
    for (size_t k = 0; k < kept.kept; k++) {
      const plain_set rest = plain_minus(&s, kept.index[k]);
      cr_assert_eq(kept.index[k], s.index[k]);
      cr_assert_eq(without[k], plain_f2(&m, &rest), "place %zu of %zu", k, kept.kept);
      cr_assert(without[k] <= plain_f2(&m, &s)); /* lemma 2 */
    }
  }
  ef_auction_free(a);
}

/* F2 without each on markets large enough for deep envelopes, each removal by a pass over the kept arrays. */
Test(auction, benchmark_without_each_on_a_large_market) {
  enum { N = 3000 };
  static double bid[N], without[N];
  static int64_t demand[N];
  ef_auction *a = NULL;
  cr_assert(ef_auction_create(N, &a) == EF_OK);
  for (int kind = 0; kind < 3; kind++) {
    ef_rng rng = ef_rng_stream(13, EF_RNG_TEST, (uint64_t)kind, 0);
    for (size_t i = 0; i < N; i++) {
      demand[i] = 1 + (int64_t)(exp(kind + 1.5 * ef_rng_normal(&rng)) * (kind == 2 ? 1000 : 3));
      bid[i] = pow((double)demand[i], 0.85) * exp(0.6 * ef_rng_normal(&rng));
    }
    const ef_market m = {N, bid, demand, INT64_C(1) << 52, 0.01, 0};
    ef_auction_load(a, &m);
    const ef_kept s = ef_auction_kept(a);
    ef_benchmark_f2_without(a, without);
    for (size_t p = 0; p < s.kept; p++) {
      int64_t total = 0, largest = 0;
      double best = 0;
      for (size_t k = 0; k < s.kept; k++) {
        if (k == p) continue;
        total += s.demand[k];
        if (s.demand[k] > largest) largest = s.demand[k];
        best = fmax(best, s.density[k] * fmin((double)total, (double)(2 * (total - largest))));
      }
      cr_assert_eq(without[p], best);
    }
  }
  ef_auction_free(a);
}

/* A deviation leaves the very bits of a fresh load of the changed market, whatever deviated before. */
Test(auction, deviation_is_a_fresh_load) {
  ef_auction *a = plain_auction(), *fresh = plain_auction();
  ef_rng rng = ef_rng_stream(14, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST], again[PLAIN_MOST];
  for (int round = 0; round < 600; round++) {
    const plain_market store = plain_random(&rng, 2, 30);
    const ef_market m = plain_view(&store);
    ef_auction_load(a, &m);
    for (int turn = 0; turn < 12; turn++) {
      const size_t i = ef_rng_below(&rng, m.n), j = ef_rng_below(&rng, m.n);
      const double rivals = m.bid[j] / (double)m.demand[j] * (double)m.demand[i];
      const double bids[] = {0, rivals, rivals * 1.01, rivals * 0.99, m.bid[i], 1e6, m.bid[i] / 2, NAN};
      const ef_aeria rule = {ratios[turn % 3], turn % 4 ? 0 : 0.5, (ef_variant)(turn % 3)};
      const ef_coin coin = {ef_rng_uniform(&rng), ef_rng_uniform(&rng)};
      plain_market changed = store;
      changed.bid[i] = bids[ef_rng_below(&rng, 8)];
      const ef_market n = plain_view(&changed);
      ef_auction_deviate(a, &m, i, changed.bid[i]);
      ef_aeria_clear_loaded(a, &m, &rule, &coin, awards, NULL);
      ef_aeria_clear(fresh, &n, &rule, &coin, again, NULL);
      assert_awards(&m, awards, again);
      const ef_kept x = ef_auction_kept(a), y = ef_auction_kept(fresh);
      cr_assert_eq(x.kept, y.kept);
      cr_assert_eq(x.floor, y.floor);
      cr_assert_eq(memcmp(x.index, y.index, x.kept * sizeof *x.index), 0);
      cr_assert_eq(memcmp(x.density, y.density, x.kept * sizeof *x.density), 0);
      cr_assert_eq(memcmp(x.total, y.total, x.kept * sizeof *x.total), 0);
    }
  }
  ef_auction_free(a);
  ef_auction_free(fresh);
}

Test(auction, order_of_many_bidders) {
  enum { N = 5000 };
  static double bid[N];
  static int64_t demand[N];
  ef_rng rng = ef_rng_stream(15, EF_RNG_TEST, 0, 0);
  for (size_t i = 0; i < N; i++) {
    demand[i] = 1 + (int64_t)ef_rng_below(&rng, 3);
    bid[i] = i % 2 ? (double)ef_rng_below(&rng, 50) : pow(10, 600 * ef_rng_uniform(&rng) - 300);
  }
  ef_auction *a = NULL;
  cr_assert(ef_auction_create(N, &a) == EF_OK);
  const ef_market m = {N, bid, demand, 1 << 20, 0, 0};
  ef_auction_load(a, &m);
  const ef_kept s = ef_auction_kept(a);
  size_t admitted = 0;
  int64_t total = 0;
  for (size_t i = 0; i < N; i++) admitted += bid[i] > 0;
  cr_assert_eq(s.kept, admitted);
  for (size_t k = 0; k < s.kept; k++) {
    total += s.demand[k];
    cr_assert_eq(s.total[k], total);
    cr_assert_eq(s.density[k], bid[s.index[k]] / (double)demand[s.index[k]]);
    if (k == 0) continue;
    cr_assert(s.density[k] < s.density[k - 1] ||
              (s.density[k] == s.density[k - 1] && s.index[k] > s.index[k - 1]));
  }
  ef_auction_free(a);
}

/* Lemma 1: each member stays in S down to the density phi, and drops out just below it. */
Test(auction, one_critical_density) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(16, EF_RNG_TEST, 0, 0);
  for (int round = 0; round < 2000; round++) {
    plain_market store = plain_random(&rng, 2, 20);
    store.unit_cost = store.margin = 0;
    const ef_market m = plain_view(&store);
    ef_auction_load(a, &m);
    const ef_kept first = ef_auction_kept(a);
    const double floor = first.floor;
    for (size_t k = 0, kept = first.kept; k < kept && floor > 0; k++) {
      ef_auction_load(a, &m);
      const size_t i = ef_auction_kept(a).index[k];
      for (int side = -1; side <= 1; side += 2) {
        ef_auction_deviate(a, &m, i, floor * (double)m.demand[i] * (1 + side * 1e-9));
        const ef_kept s = ef_auction_kept(a);
        bool in = false;
        for (size_t j = 0; j < s.kept; j++) in = in || s.index[j] == i;
        cr_assert_eq(in, side > 0);
      }
    }
  }
  ef_auction_free(a);
}

/* T2 as it is meant: the most demand that counts when nobody may be more than half of it. */
Test(auction, counted_demand_by_search) {
  ef_rng rng = ef_rng_stream(17, EF_RNG_TEST, 0, 0);
  for (int round = 0; round < 3000; round++) {
    int64_t demand[6], total[6], sum = 0;
    size_t index[6] = {0}, n = 1 + ef_rng_below(&rng, 6);
    double density[6];
    for (size_t k = 0; k < n; k++) {
      demand[k] = 1 + (int64_t)ef_rng_below(&rng, 9);
      total[k] = sum += demand[k];
      density[k] = k + 1 == n ? 1 : 1e-9; /* only the whole set matters */
    }
    int64_t best = 0;
    for (int64_t half = 0; half <= sum;
         half++) { /* x_i = min(d_i, half); counts if the sum is 2 half or more */
      int64_t counted = 0;
      for (size_t k = 0; k < n; k++) counted += demand[k] < half ? demand[k] : half;
      if (counted >= 2 * half && counted > best) best = counted;
    }
    const ef_kept s = {n, index, density, demand, total, 0};
    const double f2 = ef_benchmark_f2(&s);
    cr_assert(fabs(f2 - (double)best) <= 1, "%g, not %" PRId64, f2, best);
  }
}

Test(auction, estimate_lies_on_the_grid) {
  const double values[] = {1e-300, 5e-324, 1e-5, 0.3, 1, 2, 1000, 123456.789, 1e300, 1.7e308};
  const double bases[] = {1.0001, 1.1, 2, 2.62, 6.4, 1e6, 1e300};
  for (size_t v = 0; v < sizeof values / sizeof *values; v++)
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b++)
      for (double u = 0; u < 1; u += 0.0625) {
        const double c = bases[b], r = ef_estimate(values[v], c, u);
        cr_assert(r <= values[v]);
        cr_assert(r * c > values[v] * (1 - 1e-9) || r < 1e-300, "%g under %g at c = %g", r, values[v], c);
        if (r < 1e-300 || c == 1e300) continue;
        const double exponent = log(r) / log(c) - u;
        cr_assert_float_eq(exponent, round(exponent), 1e-7);
      }
  cr_assert_eq(ef_estimate(0, 2, 0.5), 0);
  cr_assert_eq(ef_estimate(-1, 2, 0.5), 0);
  cr_assert_eq(ef_estimate(INFINITY, 2, 0.5), 0);
  cr_assert_eq(ef_estimate(8, 2, 0), 8);
  cr_assert_eq(ef_estimate(7.999, 2, 0), 4);
  cr_assert(ef_estimate(3, 1 + 0x1p-52, 0.5) <= 3);
}

/* Cost sharing recovers R or serves nobody, and succeeds iff R <= F. */
Test(auction, cost_sharing_recovers_the_target) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(18, EF_RNG_TEST, 0, 0);
  for (int round = 0; round < 5000; round++) {
    const plain_market store = plain_random(&rng, 1, 20);
    const ef_market m = plain_view(&store);
    ef_auction_load(a, &m);
    const ef_kept s = ef_auction_kept(a);
    const double f = ef_benchmark_f(&s);
    cr_assert_eq(ef_cost_share(&s, 0), 0);
    cr_assert_eq(ef_cost_share(&s, f * (1 + 1e-9)), 0);
    if (s.kept == 0) continue;
    for (int part = 1; part <= 9; part++) {
      const double r = f * part / 9 * (1 - 1e-12);
      const size_t k = ef_cost_share(&s, r);
      cr_assert_gt(k, 0);
      cr_assert(s.density[k - 1] >= r / (double)s.total[k - 1]);
    }
  }
  ef_auction_free(a);
}

/* Prices that equal a density are paid: nine equal bids, the estimate on the value itself. */
Test(auction, price_at_the_density_is_paid) {
  plain_market store = {.n = 9, .capacity = 9};
  for (size_t i = 0; i < store.n; i++) {
    store.bid[i] = 1;
    store.demand[i] = 1;
  }
  const ef_market m = plain_view(&store);
  ef_auction *a = plain_auction();
  ef_award awards[PLAIN_MOST];
  ef_auction_load(a, &m);
  const ef_kept s = ef_auction_kept(a);
  cr_assert_eq(ef_cost_share(&s, 9), 9);
  for (int variant = EF_VARIANT_T; variant <= EF_VARIANT_D; variant++) {
    ef_aeria_clear(a, &m, &(ef_aeria){2, 0, (ef_variant)variant}, &(ef_coin){0, 0}, awards, NULL);
    for (size_t i = 0; i < store.n; i++) {
      cr_assert_eq(awards[i].fate, EF_FATE_WIN);
      cr_assert_eq(awards[i].payment, variant == EF_VARIANT_D ? 1 : 8.0 / 9);
    }
  }
  ef_auction_free(a);
}

/* One bidder's leaving costs F2 at most what section 3.7 says: lambda >= min(1/2, 1 - 2 s), s = y2 / T. */
Test(auction, value_left_when_one_leaves) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(19, EF_RNG_TEST, 0, 0);
  double without[PLAIN_MOST];
  for (int round = 0; round < 5000; round++) {
    const plain_market store = plain_random(&rng, 2, 40);
    const ef_market m = plain_view(&store);
    ef_auction_load(a, &m);
    const ef_kept s = ef_auction_kept(a);
    const double f2 = ef_benchmark_f2(&s);
    int64_t largest = 0, next = 0;
    double share = 1;
    for (size_t k = 0; k < s.kept; k++) {
      const int64_t d = s.demand[k];
      next = d > largest ? largest : d > next ? d : next;
      largest = d > largest ? d : largest;
      const double counted = fmin((double)s.total[k], 2 * (double)(s.total[k] - largest));
      if (s.density[k] * counted == f2) share = fmin(share, (double)next / counted);
    }
    ef_benchmark_f2_without(a, without);
    for (size_t p = 0; p < s.kept; p++)
      cr_assert(without[p] >= f2 * (fmin(0.5, 1 - 2 * share) - 1e-12), "round %d place %zu", round, p);
  }
  ef_auction_free(a);
}

/* Nobody at all, nobody above the reserve, nobody who fits. */
Test(auction, empty_markets) {
  const double bid[] = {1, 2};
  const int64_t demand[] = {2, 3};
  const ef_market markets[] = {{0, NULL, NULL, 5, 0, 0},
                               {2, bid, demand, 5, 1, 0},
                               {2, bid, demand, 1, 0, 0},
                               {2, bid, demand, 0, 0, 0}};
  const ef_fate fates[] = {EF_FATE_LOSE, EF_FATE_RESERVE, EF_FATE_PRUNED, EF_FATE_PRUNED};
  for (size_t k = 0; k < sizeof markets / sizeof *markets; k++)
    for (int variant = EF_VARIANT_T; variant <= EF_VARIANT_D; variant++) {
      const ef_market *m = &markets[k];
      const ef_aeria rule = {2, 0, (ef_variant)variant};
      ef_auction *a = NULL;
      ef_award awards[2];
      ef_clearing facts;
      ef_expectation e;
      cr_assert(ef_auction_create(m->n, &a) == EF_OK);
      ef_aeria_clear(a, m, &rule, &(ef_coin){0.5, 0}, awards, &facts);
      for (size_t i = 0; i < m->n; i++) cr_assert_eq(awards[i].fate, fates[k]);
      cr_assert(facts.kept == 0 && facts.estimate_count == 0 && facts.f == 0 && facts.f2 == 0);
      cr_assert_eq(facts.consensus, variant != EF_VARIANT_D);
      ef_aeria_expect(a, m, &rule, awards, &e);
      cr_assert(e.profit == 0 && e.winners == 0 && e.bound == 0);
      cr_assert_eq(e.consensus, variant == EF_VARIANT_D ? 0 : 1);
      ef_auction_free(a);
    }
}
