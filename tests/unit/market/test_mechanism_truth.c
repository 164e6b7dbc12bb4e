/* Truthfulness under each coin, by trying every deviation: all integer bids of three users with unequal
 * demands, then misreports around the others' densities in larger markets. What the table marks as not
 * truthful must be found to be so.
 */
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>

enum { USERS = 3, LEVELS = 8, PROFILES = LEVELS * LEVELS * LEVELS, COINS = 4 };

static const ef_setting setting = {.aeria = {.c = 2, .vickrey_prob = 0.3}, .posted_price = 1.25};
static const ef_coin coins[COINS] = {{0.1, 0.05}, {0.35, 0.45}, {0.6, 0.7}, {0.85, 0.95}};
static const struct small {
  int64_t demand[USERS], capacity;
  double unit_cost, margin;
} smalls[] = {{{1, 2, 3}, 3, 0, 0}, {{1, 2, 3}, 4, 0, 0},     {{1, 2, 3}, 5, 0, 0},
              {{1, 2, 3}, 6, 0, 0}, {{3, 1, 2}, 4, 0.5, 0.5}, {{2, 2, 1}, 3, 0.25, 0}};
enum { SMALLS = sizeof smalls / sizeof *smalls };

static const size_t stride[USERS] = {LEVELS * LEVELS, LEVELS, 1};
static double level(size_t profile, size_t i) { return (double)(profile / stride[i] % LEVELS); }

/* Every outcome of one rule, market and coin. */
static void clear_all(const ef_mechanism *rule, ef_auction *a, const struct small *s, const ef_coin *coin,
                      ef_award out[PROFILES][USERS]) {
  double bid[USERS];
  const ef_market m = {USERS, bid, s->demand, s->capacity, s->unit_cost, s->margin};
  for (size_t p = 0; p < PROFILES; p++) {
    for (size_t i = 0; i < USERS; i++) bid[i] = level(p, i);
    cr_assert_eq(rule->clear(a, &m, &setting, coin, out[p]), EF_OK);
  }
}

static double utility(double value, const ef_award *w) {
  return w->fate == EF_FATE_WIN ? value - w->payment : 0;
}

/* How many of the 8^3 x 3 x 7 deviations gain. */
static size_t profitable(ef_award out[PROFILES][USERS]) {
  size_t count = 0;
  for (size_t p = 0; p < PROFILES; p++)
    for (size_t i = 0; i < USERS; i++) {
      const double value = level(p, i), truth = utility(value, &out[p][i]);
      const size_t others = p - (size_t)value * stride[i];
      for (size_t b = 0; b < LEVELS; b++)
        count += (size_t)(utility(value, &out[others + b * stride[i]][i]) > truth + 1e-9);
    }
  return count;
}

Test(mechanism_truth, every_deviation_on_a_grid) {
  ef_auction *a = plain_auction();
  static ef_award out[PROFILES][USERS];
  for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++) {
    size_t gains = 0;
    for (size_t s = 0; s < SMALLS; s++)
      for (size_t c = 0; c < COINS; c++) {
        clear_all(rule, a, &smalls[s], &coins[c], out);
        gains += profitable(out);
      }
    if (rule->truth == EF_TRUTHFUL)
      cr_assert_eq(gains, 0, "%s: %zu deviations gain", rule->name, gains);
    else
      cr_assert(gains > 0, "%s: no deviation gains", rule->name);
  }
  ef_auction_free(a);
}

/* Bids that place i just below, at and just above another's density, and far away. */
static size_t misreports(const ef_market *m, size_t i, double *out) {
  size_t count = 0;
  for (size_t j = 0; j < m->n; j++) {
    const double tie = m->bid[j] / (double)m->demand[j] * (double)m->demand[i];
    out[count++] = tie * (1 - 1e-7);
    out[count++] = tie;
    out[count++] = tie * (1 + 1e-7);
  }
  out[count++] = 0;
  out[count++] = 0.5 * m->bid[i];
  out[count++] = 1e6 * (1 + m->bid[i]);
  return count;
}

static void assert_no_gain(const ef_mechanism *rule, ef_auction *a, plain_market *store, size_t i,
                           const ef_coin *coin) {
  const ef_market m = plain_view(store);
  double points[3 * PLAIN_MOST + 3];
  ef_award awards[PLAIN_MOST];
  const double value = m.bid[i];
  const size_t count = misreports(&m, i, points);
  cr_assert_eq(rule->clear(a, &m, &setting, coin, awards), EF_OK);
  const double truth = utility(value, &awards[i]);
  for (size_t k = 0; k < count; k++) {
    store->bid[i] = points[k];
    cr_assert_eq(rule->clear(a, &m, &setting, coin, awards), EF_OK);
    const double gain = utility(value, &awards[i]) - truth;
    cr_assert(gain <= 1e-9 * (value > points[k] ? value : points[k]), "%s: %.17g instead of %.17g gains %g",
              rule->name, points[k], value, gain);
  }
  store->bid[i] = value;
}

Test(mechanism_truth, misreports_in_larger_markets) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(31, EF_RNG_TEST, 0, 0);
  for (int round = 0; round < 250; round++) {
    plain_market store = plain_random(&rng, 2, 12);
    const ef_coin coin = {ef_rng_uniform(&rng), ef_rng_uniform(&rng)};
    for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++)
      if (rule->truth == EF_TRUTHFUL)
        for (size_t i = 0; i < store.n; i++) assert_no_gain(rule, a, &store, i, &coin);
  }
  ef_auction_free(a);
}
