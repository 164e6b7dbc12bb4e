/* Whole markets: section 3 of the specification on examples worked by hand, and every kind of user. */
#include "base/memory.h"
#include "base/rng.h"
#include "test_solve_sample.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define NEAR(a, b) cr_assert_leq(fabs((a) - (b)), 1e-12 * fabs(b), #a " is %.17g, not %.17g", (a), (b))

static const double five[] = {8, 6, 5, 3, 1};

/* Capacity 4: the bid of 1 is cut and is the floor. F = F2 = 3 x 5. Without 8: max(2 x 5, 3 x 3) = 10;
 * without 6: 10; without 5: 12; without 3: 15. At u = 0 all are rounded down to 8, which four share. */
Test(solve, consensus_by_hand) {
  solve_sample s;
  solve_open(&s, 4);
  solve_bids(&s, five, 5);
  ef_market_outcome o = solve_run(&s);
  for (size_t i = 0; i < 4; i++) solve_expect(&o, i, EF_USER_WIN, 2);
  solve_expect(&o, 4, EF_USER_PRUNED, 0);
  const ef_market_summary *m = &o.markets[0];
  cr_assert_eq(o.market_count, 1);
  cr_assert_str_eq(m->name, "provider0");
  cr_assert(m->capacity == 4 && m->users == 5 && m->kept == 4);
  cr_assert(m->floor == 1 && m->f == 15 && m->f2 == 15);
  cr_assert(m->consensus && !m->vickrey && m->estimate_count == 1);
  cr_assert(m->estimates[0].value == 8 && m->estimates[0].count == 4);
  cr_assert(m->sale.winners == 4 && m->sale.used == 4 && m->sale.revenue == 8 && m->sale.profit == 8);
  cr_assert(o.revenue == 8 && o.profit == 8 && o.infrastructure_income == 0 && o.seconds >= 0);
  ef_market_outcome_free(&o);
}

/* At u = 1/2 the grid has 4 and 8 times the root of 2: 10 becomes 5.66, 12 and 15 become 11.31. */
Test(solve, two_estimates_by_hand) {
  solve_sample s;
  solve_open(&s, 4);
  solve_bids(&s, five, 5);
  s.instance.rules.u = 0.5;
  ef_market_outcome o = solve_run(&s);
  for (size_t i = 0; i < 4; i++) solve_expect(&o, i, EF_USER_WIN, i < 2 ? sqrt(2) : 2 * sqrt(2));
  const ef_market_summary *m = &o.markets[0];
  cr_assert(!m->consensus && m->estimate_count == 2);
  NEAR(m->estimates[0].value, 8 * sqrt(2));
  NEAR(m->estimates[1].value, 4 * sqrt(2));
  cr_assert(m->estimates[0].count == 2 && m->estimates[1].count == 2);
  NEAR(o.revenue, 6 * sqrt(2));
  ef_market_outcome_free(&o);
}

/* kappa = 1, gamma = 1/2: net 7, 5, 4, 2 and 0.4, which is under 0.5. R = 8 for all: net price 2. */
static void with_margin(solve_sample *s) {
  static const double bids[] = {8, 6, 5, 3, 1.4};
  solve_open(s, 4);
  solve_bids(s, bids, 5);
  s->instance.rules.unit_cost = 1;
  s->instance.rules.margin = 0.5;
}

Test(solve, reserve_by_hand) {
  solve_sample s;
  with_margin(&s);
  for (int variant = EF_VARIANT_T; variant <= EF_VARIANT_E; variant++) {
    s.instance.rules.variant = (ef_variant)variant;
    ef_market_outcome o = solve_run(&s);
    for (size_t i = 0; i < 4; i++) solve_expect(&o, i, EF_USER_WIN, 3);
    solve_expect(&o, 4, EF_USER_RESERVE, 0);
    cr_assert(o.markets[0].floor == 0.5 && o.markets[0].f == 12 && o.markets[0].f2 == 12);
    cr_assert(o.revenue == 12 && o.profit == 8 && o.infrastructure_income == 4);
    ef_market_outcome_free(&o);
  }
}

/* The others of 7 are 5, 4, 2: two of them share 8 at 4 each; likewise for 5 and 4. Those of 2 are 7, 5, 4:
 * 8/3. */
Test(solve, variant_d_by_hand) {
  solve_sample s;
  with_margin(&s);
  s.instance.rules.variant = EF_VARIANT_D;
  ef_market_outcome o = solve_run(&s);
  for (size_t i = 0; i < 3; i++) solve_expect(&o, i, EF_USER_WIN, 5);
  solve_expect(&o, 3, EF_USER_LOSE, 0);
  cr_assert(!o.markets[0].consensus);
  cr_assert(o.revenue == 15 && o.profit == 12 && o.infrastructure_income == 3);
  ef_market_outcome_free(&o);
}

/* The highest net total, 7, pays the second, 5, and the cost; the diagnosis is that of the core auction. */
Test(solve, vickrey_by_hand) {
  solve_sample s;
  with_margin(&s);
  s.instance.rules.vickrey_prob = 0.5;
  s.instance.rules.v = 0.4;
  ef_market_outcome o = solve_run(&s);
  solve_expect(&o, 0, EF_USER_WIN, 6);
  for (size_t i = 1; i < 4; i++) solve_expect(&o, i, EF_USER_LOSE, 0);
  solve_expect(&o, 4, EF_USER_RESERVE, 0);
  const ef_market_summary *m = &o.markets[0];
  cr_assert(m->vickrey && m->kept == 4 && m->f2 == 12 && m->estimate_count == 1 &&
            m->estimates[0].value == 8);
  cr_assert(o.revenue == 6 && o.profit == 5 && o.infrastructure_income == 1);
  ef_market_outcome_free(&o);
  s.instance.rules.v = 0.5; /* not below the probability */
  o = solve_run(&s);
  cr_assert(!o.markets[0].vickrey && o.markets[0].sale.winners == 4);
  ef_market_outcome_free(&o);
}

/* Net densities 10, 10, 10, 1 in a capacity of 4: estimates of 20 and 30 both give 16, three share it. */
Test(solve, every_status) {
  solve_sample s;
  solve_open(&s, 4);
  s.instance.rules.max_share = 0.5;
  size_t infeasible = solve_user(&s, 0, 50, 1), self = solve_user(&s, 0, 50, 1);
  size_t big = solve_user(&s, 0, 50, 2.1);
  s.users[infeasible].accuracy = 0.95;
  s.users[self].device_flops = 1e9;
  size_t first = s.instance.user_count;
  static const double bids[] = {10, 10, 10, 1, 0.5, 0};
  solve_bids(&s, bids, 6);
  ef_market_outcome o = solve_run(&s);
  solve_expect(&o, infeasible, EF_USER_INFEASIBLE, 0);
  solve_expect(&o, self, EF_USER_SELF, 0);
  solve_expect(&o, big, EF_USER_TOOBIG, 0);
  cr_assert_eq(o.users[big].demand.units, 3);
  for (size_t i = 0; i < 3; i++) solve_expect(&o, first + i, EF_USER_WIN, 16.0 / 3);
  solve_expect(&o, first + 3, EF_USER_LOSE, 0);
  solve_expect(&o, first + 4, EF_USER_PRUNED, 0);
  solve_expect(&o, first + 5, EF_USER_RESERVE, 0);
  cr_assert(o.markets[0].users == 6 && o.markets[0].kept == 4);
  ef_market_outcome_free(&o);
}

/* The cap is public: two of four units are allowed at a half, and 2.9 of them are not three. */
Test(solve, largest_demand) {
  solve_sample s;
  solve_open(&s, 10);
  solve_user(&s, 0, 1, 3);
  s.instance.rules.max_share = 0.3;
  ef_demand demand;
  cr_assert_eq(ef_demands_find(&s.instance, &demand), EF_OK);
  cr_assert_eq(demand.units, 3);
  cr_assert(ef_demand_fits(&s.instance, 0, &demand));
  s.instance.rules.max_share = 0.29;
  cr_assert(!ef_demand_fits(&s.instance, 0, &demand));
  s.providers[0].share = 0.5;
  s.instance.rules.max_share = 0.5;
  cr_assert(!ef_demand_fits(&s.instance, 0, &demand));
  s.instance.rules.pooled = true;
  cr_assert(ef_demand_fits(&s.instance, 0, &demand));
}

/* Half of the capacity each, or all together. Two users estimate each other at F2 of one user, 0: nobody
 * wins. */
Test(solve, pooled_against_per_provider) {
  solve_sample s;
  solve_open(&s, 5);
  s.instance.provider_count = 2;
  s.providers[0].share = s.providers[1].share = 0.5;
  for (size_t i = 0; i < 5; i++) solve_user(&s, i < 3 ? 0 : 1, five[i], 1);
  ef_market_outcome o = solve_run(&s);
  cr_assert_eq(o.market_count, 2);
  cr_assert_str_eq(o.markets[1].name, "provider1");
  cr_assert(o.markets[0].capacity == 2 && o.markets[0].users == 3 && o.markets[0].kept == 2);
  cr_assert(o.markets[0].floor == 5 && o.markets[0].f == 12 && o.markets[1].floor == 0);
  for (size_t i = 0; i < 5; i++) solve_expect(&o, i, i == 2 ? EF_USER_PRUNED : EF_USER_LOSE, 0);
  cr_assert_eq(o.revenue, 0);
  ef_market_outcome_free(&o);

  s.instance.rules.pooled = true;
  s.instance.rules.capacity = 4;
  o = solve_run(&s);
  cr_assert_eq(o.market_count, 1);
  cr_assert_str_eq(o.markets[0].name, "pooled");
  cr_assert_eq(o.markets[0].capacity, 4);
  for (size_t i = 0; i < 4; i++) solve_expect(&o, i, EF_USER_WIN, 2);
  solve_expect(&o, 4, EF_USER_PRUNED, 0);
  ef_market_outcome_free(&o);
}

Test(solve, nobody_and_nothing) {
  solve_sample s;
  solve_open(&s, 4);
  ef_market_outcome o = solve_run(&s);
  cr_assert(o.user_count == 0 && o.markets[0].users == 0 && o.markets[0].kept == 0 && o.revenue == 0);
  cr_assert(o.markets[0].floor == 0 && o.markets[0].f2 == 0);
  ef_market_outcome_free(&o);

  solve_bids(&s, five, 5);
  s.exit.accuracy = 0.4;
  o = solve_run(&s);
  for (size_t i = 0; i < 5; i++) solve_expect(&o, i, EF_USER_INFEASIBLE, 0);
  cr_assert_eq(o.markets[0].users, 0);
  ef_market_outcome_free(&o);

  s.exit.accuracy = 0.9;
  s.instance.rules.capacity = 0;
  o = solve_run(&s);
  for (size_t i = 0; i < 5; i++) solve_expect(&o, i, EF_USER_TOOBIG, 0);
  cr_assert(o.markets[0].users == 0 && o.markets[0].capacity == 0);
  ef_market_outcome_free(&o);
}

/* 1e300 each: F2 without one is 3e300, the price a third of a power of two under it, and nothing overflows.
 */
Test(solve, huge_bids) {
  solve_sample s;
  solve_open(&s, 4);
  static const double bids[] = {1e300, 1e300, 1e300, 1e300};
  solve_bids(&s, bids, 4);
  ef_market_outcome o = solve_run(&s);
  double r = exp2(floor(log2(3e300)));
  for (size_t i = 0; i < 4; i++) {
    cr_assert_eq(o.users[i].status, EF_USER_WIN);
    cr_assert_leq(fabs(o.users[i].payment - r / 4), 1e-9 * r);
  }
  cr_assert(isfinite(o.revenue) && o.markets[0].f == 4e300);
  ef_market_outcome_free(&o);
}

Test(solve, faults_have_a_place) {
  solve_sample s;
  solve_open(&s, 4);
  solve_bids(&s, five, 5);
  size_t blocks = ef_memory_blocks();
  ef_market_outcome o;
  s.users[3].deadline = -1;
  cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){0}, &o), EF_INPUT);
  cr_assert_not_null(strstr(ef_message(), "users[3].deadline"), "%s", ef_message());
  s.users[3].deadline = 1;
  s.instance.rules.has_v = false;
  cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){0}, &o), EF_INPUT);
  cr_assert_not_null(strstr(ef_message(), "coin"));
  cr_assert(o.markets == NULL && o.users == NULL);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

/* ---- against the parts ----------------------------------------------------------------------------------
 */

static void random_market(solve_sample *s, uint64_t seed) {
  ef_rng rng = ef_rng_stream(seed, EF_RNG_TEST, 77, 0);
  solve_open(s, (int64_t)ef_rng_below(&rng, 40));
  ef_rules *rules = &s->instance.rules;
  rules->u = ef_rng_uniform(&rng);
  rules->v = ef_rng_uniform(&rng);
  rules->vickrey_prob = 0.2;
  rules->variant = (ef_variant)ef_rng_below(&rng, 3);
  rules->pooled = ef_rng_below(&rng, 2) == 0;
  rules->unit_cost = 0.2 * ef_rng_uniform(&rng);
  rules->max_share = 0.5;
  s->instance.provider_count = SOLVE_PROVIDERS;
  for (size_t p = 0; p < SOLVE_PROVIDERS; p++) s->providers[p].share = 1.0 / SOLVE_PROVIDERS;
  size_t users = ef_rng_below(&rng, SOLVE_USERS + 1);
  for (size_t i = 0; i < users; i++) {
    size_t provider = ef_rng_below(&rng, SOLVE_PROVIDERS);
    solve_user(s, provider, 5 * ef_rng_uniform(&rng), 6 * ef_rng_uniform(&rng) + 0.01);
  }
}

/* Each market by its own book, the awards against the outcome; users outside all books have no award. */
static void check_markets(const solve_sample *s, const ef_demand *demands, const ef_market_outcome *o) {
  const ef_rules *rules = &s->instance.rules;
  ef_aeria rule = {rules->c, rules->vickrey_prob, rules->variant};
  size_t bidders = 0;
  for (size_t m = 0; m < ef_market_count(&s->instance); m++) {
    ef_book book;
    ef_auction *auction;
    ef_award awards[SOLVE_USERS];
    cr_assert_eq(ef_book_make(&s->instance, demands, m, &book), EF_OK);
    cr_assert_eq(ef_auction_create(book.market.n, &auction), EF_OK);
    ef_aeria_clear(auction, &book.market, &rule, &o->coin, awards, NULL);
    double revenue = 0;
    for (size_t n = 0; n < book.market.n; n++) {
      const ef_user_outcome *user = &o->users[book.user[n]];
      cr_assert(n == 0 || book.user[n] > book.user[n - 1]);
      cr_assert_eq(user->status, (ef_user_status)(EF_USER_RESERVE + (int)awards[n].fate));
      cr_assert(user->payment == awards[n].payment && user->unit_price == awards[n].unit_price);
      cr_assert(s->users[book.user[n]].bid == book.bid[n] && user->demand.units == book.demand[n]);
      cr_assert(rules->pooled || s->users[book.user[n]].provider == m);
      revenue += awards[n].payment;
    }
    const ef_market_summary *summary = &o->markets[m];
    cr_assert(summary->users == book.market.n && summary->capacity == book.market.capacity);
    cr_assert(summary->sale.revenue == revenue && summary->sale.used <= summary->capacity);
    bidders += book.market.n;
    ef_auction_free(auction);
    ef_book_free(&book);
  }
  size_t standing = 0;
  for (size_t i = 0; i < o->user_count; i++) standing += o->users[i].status >= EF_USER_RESERVE;
  cr_assert_eq(bidders, standing);
}

Test(solve, same_as_its_parts) {
  size_t winners = 0;
  for (uint64_t seed = 0; seed < 500; seed++) {
    solve_sample s;
    random_market(&s, seed);
    size_t blocks = ef_memory_blocks();
    ef_demand demands[SOLVE_USERS];
    ef_market_outcome here, given;
    cr_assert_eq(ef_demands_find(&s.instance, demands), EF_OK);
    cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){0}, &here), EF_OK, "%s", ef_message());
    cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){.demands = demands, .expect = true}, &given),
                 EF_OK);
    check_markets(&s, demands, &here);
    check_markets(&s, demands, &given);
    cr_assert(here.revenue == given.revenue && here.profit == given.profit);
    cr_assert_leq(fabs(here.revenue - here.profit - here.infrastructure_income), 1e-12 * (1 + here.revenue));
    for (size_t m = 0; m < here.market_count; m++) winners += here.markets[m].sale.winners;
    ef_market_outcome_free(&here);
    ef_market_outcome_free(&given);
    cr_assert_eq(ef_memory_blocks(), blocks);
  }
  cr_assert_gt(winners, 300);
}

/* The expectation over u of the market of `consensus_by_hand`, against a fine grid of coins. */
Test(solve, expectation_against_many_coins) {
  solve_sample s;
  solve_open(&s, 4);
  solve_bids(&s, five, 5);
  ef_market_outcome o;
  cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){.expect = true}, &o), EF_OK);
  double expected = o.markets[0].expected.revenue, sum = 0;
  ef_market_outcome_free(&o);
  enum { COINS = 2000 };
  for (int k = 0; k < COINS; k++) {
    s.instance.rules.u = (k + 0.5) / COINS;
    o = solve_run(&s);
    sum += o.revenue / COINS;
    ef_market_outcome_free(&o);
  }
  cr_assert_leq(fabs(sum - expected), 1e-2 * expected, "%.17g not %.17g", expected, sum);
}
