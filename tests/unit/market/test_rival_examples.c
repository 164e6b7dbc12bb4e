/* The rivals on markets worked by hand from their definitions. */
#include "market/mechanism.h"
#include "test_auction_plain.h"
#include <criterion/criterion.h>
#include <math.h>

enum { MOST = 5 };

/* r = 5, 3, 3, 2, 1 and C = 7: S holds the first three, phi = 2. */
static const double bid_a[] = {10, 6, 9, 2, 4};
static const int64_t demand_a[] = {2, 2, 3, 1, 4};
static const ef_market market_a = {5, bid_a, demand_a, 7, 0, 0};

/* r = 4, 3, 2, 1 and C = 5: greedy skips the second. */
static const double bid_b[] = {8, 12, 6, 1};
static const int64_t demand_b[] = {2, 4, 3, 1};
static const ef_market market_b = {4, bid_b, demand_b, 5, 0, 0};

/* Clears and compares payments; a payment of 0 is no win. */
static void assert_pays(const char *name, const ef_market *m, double posted, double v,
                        const double *payment) {
  ef_auction *a = plain_auction();
  const ef_setting setting = {.aeria = {.c = 2}, .posted_price = posted};
  const ef_coin coin = {0.5, v};
  ef_award awards[MOST];
  cr_assert_eq(ef_mechanism_find(name)->clear(a, m, &setting, &coin, awards), EF_OK);
  for (size_t i = 0; i < m->n; i++) {
    cr_assert_float_eq(awards[i].payment, payment[i], 1e-12, "%s: bidder %zu pays %.17g, not %g", name, i,
                       awards[i].payment, payment[i]);
    cr_assert_eq(awards[i].fate == EF_FATE_WIN, payment[i] > 0, "%s: bidder %zu", name, i);
  }
  ef_auction_free(a);
}
#define PAYS(name, market, posted, v, ...) assert_pays(name, market, posted, v, (const double[]){__VA_ARGS__})

/* A coin that puts the first `count` bidders into these halves. */
static double coin_for(const int *half, size_t count) {
  for (double v = 0; v < 1; v += 1.0 / 1024) {
    const ef_coin coin = {.v = v};
    size_t same = 0;
    while (same < count && ef_coin_half(&coin, same) == half[same]) same++;
    if (same == count) return v;
  }
  cr_assert_fail("no coin");
  return 0;
}

Test(rival_examples, posted) {
  PAYS("posted", &market_a, 2.5, 0, 5, 5, 7.5, 0, 0);
  PAYS("posted", &market_a, 4, 0, 8, 0, 0, 0, 0);
  PAYS("posted", &market_a, 1, 0, 4, 4, 6, 0, 0); /* the floor is higher */
}

Test(rival_examples, first_rejected) {
  PAYS("first-rejected", &market_a, 0, 0, 4, 4, 6, 0, 0);
  PAYS("first-rejected", &market_b, 0, 0, 6, 0, 0, 0);
}

/* Nothing overflows: the reserve (1 + 1/2) 1 per unit is all that is asked; the last is under it. */
Test(rival_examples, first_rejected_at_the_reserve) {
  ef_market slack = market_a;
  slack.capacity = 20;
  slack.unit_cost = 1;
  slack.margin = 0.5;
  PAYS("first-rejected", &slack, 0, 0, 3, 3, 4.5, 1.5, 0);
  PAYS("greedy-critical", &slack, 0, 0, 3, 3, 4.5, 1.5, 0);
  PAYS("knapsack-vcg", &slack, 0, 0, 3, 3, 4.5, 1.5, 0);
  PAYS("posted", &slack, 1.5, 0, 5, 5, 7.5, 0, 0); /* net 1.5: unit price 2.5 */
}

/* {0} and {1, 2}: best prices 5 (profit 10) and 3 (profit 15). */
Test(rival_examples, sampling) {
  const double split = coin_for((const int[]){0, 1, 1}, 3), flipped = coin_for((const int[]){1, 0, 0}, 3);
  PAYS("rsop", &market_a, 0, split, 6, 0, 0, 0, 0);
  PAYS("rsop", &market_a, 0, flipped, 6, 0, 0, 0, 0);
  PAYS("scs", &market_a, 0, split, 0, 4, 6, 0, 0); /* 10 over 5 units; 15 over 2 is more than 5 */
  PAYS("scs", &market_a, 0, flipped, 0, 4, 6, 0, 0);
}

Test(rival_examples, sampling_with_an_empty_half) {
  const double all = coin_for((const int[]){1, 1, 1}, 3);
  PAYS("rsop", &market_a, 0, all, 0, 0, 0, 0, 0);
  PAYS("scs", &market_a, 0, all, 0, 0, 0, 0, 0);
}

/* Others' terms: {6, 15}, {10, 15}, {10, 12}: the price is 3 each time. Alone there is no price. */
Test(rival_examples, dot) {
  PAYS("dot", &market_a, 0, 0, 6, 6, 9, 0, 0);
  PAYS("dot", &market_b, 0, 0, 0, 0, 0, 0);
}

/* The other's price is 10 for the low, 1 for the high: a giant pays little, which is why DOT can fail. */
Test(rival_examples, dot_with_a_giant) {
  const double bid[] = {10, 1};
  const int64_t demand[] = {1, 1};
  const ef_market m = {2, bid, demand, 2, 0, 0};
  PAYS("dot", &m, 0, 0, 1, 0);
}

Test(rival_examples, greedy) {
  PAYS("greedy-critical", &market_a, 0, 0, 4, 4, 6, 0, 0);
  PAYS("greedy-critical", &market_b, 0, 0, 6, 0, 3, 0);
  PAYS("pay-as-bid", &market_b, 0, 0, 8, 0, 6, 0);
}

/* {0, 2} is worth 14; without 0 or 2 it is {1, 3}, 13. Others: 6 and 8. */
Test(rival_examples, knapsack) { PAYS("knapsack-vcg", &market_b, 0, 0, 7, 0, 5, 0); }

Test(rival_examples, proportional) {
  const double bid[] = {6, 1, 1};
  const int64_t demand[] = {3, 1, 1};
  const ef_market m = {3, bid, demand, 4, 0, 0};
  ef_auction *a = plain_auction();
  const ef_setting setting = {.aeria = {.c = 2}};
  const ef_coin coin = {0};
  ef_award awards[3];
  PAYS("proportional", &m, 0, 0, 6, 0, 0);           /* shares 3, 1/2, 1/2 */
  PAYS("proportional", &market_b, 0, 0, 0, 0, 0, 0); /* 1.5 of 2, 2.2 of 4, 1.1 of 3, 0.2 of 1 */
  cr_assert_eq(ef_mechanism_find("proportional")->clear(a, &m, &setting, &coin, awards), EF_OK);
  cr_assert_eq(awards[0].unit_price, 2.0);
  ef_auction_free(a);
}

Test(rival_examples, vickrey) { PAYS("vickrey", &market_a, 0, 0, 9, 0, 0, 0, 0); }

/* F = 3 x 7, nobody above half of it. The giant's 6 units of 8 count as the 2 of the others: F2 = 2 x 4,
 * not 16. */
Test(rival_examples, omniscient) {
  const double bid[] = {4, 3, 12};
  const int64_t demand[] = {1, 1, 6};
  const ef_market giant = {3, bid, demand, 8, 0, 0};
  PAYS("omniscient-f", &market_a, 0, 0, 6, 6, 9, 0, 0);
  PAYS("omniscient-f2", &market_a, 0, 0, 6, 6, 9, 0, 0);
  PAYS("omniscient-f", &giant, 0, 0, 2, 2, 12);
  PAYS("omniscient-f2", &giant, 0, 0, 2, 2, 12); /* 8 is still more than 3 x 2 */
}

Test(rival_examples, omniscient_f2_needs_two) {
  const double bid[] = {8};
  const int64_t demand[] = {2};
  const ef_market one = {1, bid, demand, 2, 0, 0};
  PAYS("omniscient-f", &one, 0, 0, 8);
  PAYS("omniscient-f2", &one, 0, 0, 0);
}

/* Equal densities are rationed by index: the third of three that ask 2 of 4 units waits. */
Test(rival_examples, omniscient_rations_ties) {
  const double bid[] = {6, 6, 6};
  const int64_t demand[] = {2, 2, 2};
  const ef_market m = {3, bid, demand, 4, 0, 0};
  PAYS("omniscient-f", &m, 0, 0, 6, 6, 0);
}
