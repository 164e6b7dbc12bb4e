/* The table itself, the coin's halves, and what every mechanism owes: nobody pays more than its bid, what is
 * sold fits, nothing is sold under the reserve, one price where the table says so.
 */
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const ef_setting setting = {.aeria = {.c = 2, .vickrey_prob = 0.3}, .posted_price = 1.25};

Test(mechanism, table_is_complete_and_named) {
  char names[512] = "";
  size_t count = 0;
  for (const ef_mechanism *m = ef_mechanisms; m->name; m++, count++) {
    if (count) strcat(names, ", ");
    strcat(names, m->name);
    cr_assert_eq(ef_mechanism_find(m->name), m);
    cr_assert_not_null(m->help);
    cr_assert_not_null(m->clear);
    cr_assert_eq(m->benchmark, strncmp(m->name, "omniscient", 10) == 0);
    cr_assert_eq(m->meets_deadlines, strcmp(m->name, "proportional") != 0);
  }
  cr_assert_eq(count, 15);
  cr_assert_str_eq(ef_mechanism_names(), names);
  cr_assert_null(ef_mechanism_find("aeria"));
}

Test(mechanism, aeria_rows_set_the_variant) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(21, EF_RNG_TEST, 0, 0);
  static const char *const names[] = {"aeria-t", "aeria-e", "aeria-d"};
  static const ef_variant variants[] = {EF_VARIANT_T, EF_VARIANT_E, EF_VARIANT_D};
  ef_award got[PLAIN_MOST], expected[PLAIN_MOST];
  for (int round = 0; round < 300; round++) {
    const plain_market store = plain_random(&rng, 1, 12);
    const ef_market m = plain_view(&store);
    const ef_coin coin = {ef_rng_uniform(&rng), 0.3 + 0.7 * ef_rng_uniform(&rng)};
    const ef_aeria rule = {setting.aeria.c, 0, variants[round % 3]};
    cr_assert_eq(ef_mechanism_find(names[round % 3])->clear(a, &m, &setting, &coin, got), EF_OK);
    plain_clear(&m, &rule, coin.u, expected);
    for (size_t i = 0; i < m.n; i++) cr_assert_eq(got[i].payment, expected[i].payment);
  }
  ef_auction_free(a);
}

Test(mechanism, vickrey_rows_agree_with_the_branch) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(22, EF_RNG_TEST, 0, 0);
  const ef_coin branch = {0.5, 0.1};
  ef_award alone[PLAIN_MOST], taken[PLAIN_MOST];
  for (int round = 0; round < 300; round++) {
    const plain_market store = plain_random(&rng, 1, 12);
    const ef_market m = plain_view(&store);
    cr_assert_eq(ef_mechanism_find("vickrey")->clear(a, &m, &setting, &branch, alone), EF_OK);
    cr_assert_eq(ef_mechanism_find("aeria-t")->clear(a, &m, &setting, &branch, taken), EF_OK);
    for (size_t i = 0; i < m.n; i++) cr_assert_eq(alone[i].payment, taken[i].payment);
  }
  ef_auction_free(a);
}

/* A bit per bidder and coin: half of them each, unlike that of the neighbour as often as not. */
static void assert_fair(size_t heads, size_t count) {
  const double middle = 0.5 * (double)count, five_sigma = 2.5 * sqrt((double)count);
  cr_assert(fabs((double)heads - middle) < five_sigma, "%zu of %zu", heads, count);
}

Test(mechanism, coin_halves_are_fair) {
  enum { BIDDERS = 20000, COINS = 20000 };
  ef_coin coin = {.v = 0.37};
  size_t ones = 0, changes = 0, over_coins = 0, coin_changes = 0;
  int last = 0;
  for (size_t i = 0; i < BIDDERS; i++) {
    const int half = ef_coin_half(&coin, i);
    cr_assert(half == 0 || half == 1);
    ones += (size_t)half;
    changes += (size_t)(half != last);
    last = half;
  }
  for (size_t k = 0; k < COINS; k++) {
    const double before = coin.v = (double)k / COINS;
    const int half = ef_coin_half(&coin, 3);
    coin.v = nextafter(before, 1.0);
    over_coins += (size_t)half;
    coin_changes += (size_t)(half != ef_coin_half(&coin, 3));
  }
  assert_fair(ones, BIDDERS);
  assert_fair(changes, BIDDERS);
  assert_fair(over_coins, COINS);
  assert_fair(coin_changes, COINS);
}

Test(mechanism, coin_halves_do_not_read_the_other_coin) {
  for (size_t i = 0; i < 100; i++)
    cr_assert_eq(ef_coin_half(&(ef_coin){.u = 0.1, .v = 0.6}, i),
                 ef_coin_half(&(ef_coin){.u = 0.9, .v = 0.6}, i));
}

/* Fate, money and units of one clearing, from market and awards alone. */
static void assert_sound(const ef_mechanism *rule, const ef_market *m, const ef_award *awards) {
  int64_t used = 0;
  double price = NAN;
  for (size_t i = 0; i < m->n; i++) {
    const ef_award *w = &awards[i];
    const double net = plain_net(m, i), units = (double)m->demand[i];
    cr_assert_eq(w->fate == EF_FATE_RESERVE, net <= 0 || net < m->margin * m->unit_cost, "%s", rule->name);
    if (w->fate != EF_FATE_WIN) {
      cr_assert(w->payment == 0 && w->unit_price == 0, "%s", rule->name);
      continue;
    }
    used += m->demand[i];
    cr_assert(w->payment <= m->bid[i] * (1 + 1e-12), "%s: %.17g for a bid of %.17g", rule->name, w->payment,
              m->bid[i]);
    cr_assert(w->payment >= (1 + m->margin) * m->unit_cost * units * (1 - 1e-12), "%s", rule->name);
    if (rule->meets_deadlines)
      cr_assert_float_eq(w->unit_price * units, w->payment, 1e-12 * w->payment, "%s", rule->name);
    else
      cr_assert(w->payment >= w->unit_price * units * (1 - 1e-12), "%s", rule->name);
    if (rule->price == EF_ONE_PRICE && !isnan(price)) cr_assert_eq(w->unit_price, price, "%s", rule->name);
    price = w->unit_price;
  }
  cr_assert(used <= m->capacity, "%s sells %lld of %lld units", rule->name, (long long)used,
            (long long)m->capacity);
}

Test(mechanism, sells_within_bids_capacity_and_reserve) {
  ef_auction *a = plain_auction();
  ef_rng rng = ef_rng_stream(23, EF_RNG_TEST, 0, 0);
  ef_award awards[PLAIN_MOST];
  size_t sold[16] = {0};
  for (int round = 0; round < 1500; round++) {
    const plain_market store = plain_random(&rng, 1, round % 10 ? 10 : PLAIN_MOST);
    const ef_market m = plain_view(&store);
    const ef_coin coin = {ef_rng_uniform(&rng), ef_rng_uniform(&rng)};
    for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++) {
      cr_assert_eq(rule->clear(a, &m, &setting, &coin, awards), EF_OK);
      assert_sound(rule, &m, awards);
      sold[rule - ef_mechanisms] += ef_sale_sum(&m, awards).winners;
    }
  }
  for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++)
    cr_assert(sold[rule - ef_mechanisms] > 100, "%s hardly sells", rule->name);
  ef_auction_free(a);
}

Test(mechanism, empty_market_sells_nothing) {
  ef_auction *a = plain_auction();
  const ef_market m = {.n = 0, .capacity = 5};
  const ef_coin coin = {0.5, 0.5};
  for (const ef_mechanism *rule = ef_mechanisms; rule->name; rule++)
    cr_assert_eq(rule->clear(a, &m, &setting, &coin, NULL), EF_OK);
  ef_auction_free(a);
}
