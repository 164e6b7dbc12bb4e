/* Markets small enough to be worked out by hand, and all integer bids of three bidders. */
#include "test_audit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* Unit demands, bids 10, 6, 4, c = 2, a grid through 10: the first two get R = 5 and pay 5/3, the third gets
 * R = 10 and pays 10/3. */
Test(audit_examples, envy_without_consensus) {
  static const double bid[] = {10, 6, 4};
  static const int64_t demand[] = {1, 1, 1};
  char *names[] = {"ann", "bob", "eve"};
  ef_market market = {.n = 3, .bid = bid, .demand = demand, .capacity = 3};
  ef_audit audit;
  ef_audit_spec spec = {.mechanism = ef_mechanism_find("aeria-t"),
                        .setting.aeria.c = 2,
                        .coin.u = log2(9.99999) - 3,
                        .names = names};
  cr_assert_eq(ef_audit_market(&market, &spec, &audit), EF_OK);
  const ef_finding *price = &audit.findings[EF_CLAIM_ENVY_PRICE], *envy = &audit.findings[EF_CLAIM_ENVY];
  cr_assert_eq(audit.consensus_rate, 0);
  cr_assert_eq(price->verdict, EF_HOLDS_UNDER_CONSENSUS);
  cr_assert_eq(price->faults, 1);
  cr_assert_float_eq(price->worst, 5.0 / 3, 1e-5);
  cr_assert_eq(envy->faults, 1);
  cr_assert_eq(envy->consensus_faults, 0);
  cr_assert_float_eq(envy->worst, 5.0 / 3, 1e-5);
  cr_assert(strstr(envy->example, "eve") && strstr(envy->example, "ann"));
  cr_assert_float_eq(audit.f2, 12, 1e-12);
  cr_assert_float_eq(audit.bound, 12 * (8.0 / 12 - 0.5) / log(2), 1e-9);
}

/* A mechanism that sells all at 1, whatever is bid, and one that lets the dearest loser out. */
static ef_status sell_two_of_three(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                   const ef_coin *coin, ef_award *awards) {
  (void)a, (void)setting, (void)coin;
  for (size_t i = 0; i < market->n; i++)
    awards[i] = i == 0
                    ? (ef_award){.fate = EF_FATE_LOSE}
                    : (ef_award){.fate = EF_FATE_WIN, .unit_price = 1, .payment = (double)market->demand[i]};
  return EF_OK;
}

Test(audit_examples, a_loser_outbids_the_price_but_wants_no_smaller_bundle) {
  static const double bid[] = {30, 4, 4};
  static const int64_t demand[] = {3, 2, 2};
  ef_market market = {.n = 3, .bid = bid, .demand = demand, .capacity = 4};
  ef_mechanism mechanism = {.name = "unfair",
                            .help = "",
                            .truth = EF_NOT_TRUTHFUL,
                            .price = EF_ONE_PRICE,
                            .meets_deadlines = true,
                            .clear = sell_two_of_three};
  ef_audit audit;
  ef_audit_spec spec = {.mechanism = &mechanism, .setting.aeria.c = 2};
  cr_assert_eq(ef_audit_market(&market, &spec, &audit), EF_OK);
  cr_assert_eq(audit.findings[EF_CLAIM_ENVY_PRICE].verdict, EF_FAILS);
  cr_assert_float_eq(audit.findings[EF_CLAIM_ENVY_PRICE].worst, 9, 1e-12);
  cr_assert_eq(audit.findings[EF_CLAIM_ENVY].verdict, EF_HOLDS);
}

Test(audit_examples, price_under_the_reserve) {
  static const double bid[] = {30, 4, 4};
  static const int64_t demand[] = {1, 1, 1};
  ef_market market = {.n = 3, .bid = bid, .demand = demand, .capacity = 3, .unit_cost = 1, .margin = 0.25};
  ef_mechanism mechanism = {.name = "unfair",
                            .help = "",
                            .truth = EF_NOT_TRUTHFUL,
                            .price = EF_MANY_PRICES,
                            .meets_deadlines = true,
                            .clear = sell_two_of_three};
  ef_audit audit;
  ef_audit_spec spec = {.mechanism = &mechanism, .setting.aeria.c = 2};
  cr_assert_eq(ef_audit_market(&market, &spec, &audit), EF_OK);
  cr_assert_eq(audit.findings[EF_CLAIM_RESERVE].verdict, EF_FAILS);
  cr_assert_eq(audit.findings[EF_CLAIM_RESERVE].faults, 2);
  cr_assert_float_eq(audit.findings[EF_CLAIM_RESERVE].worst, 0.25, 1e-12);
  cr_assert_eq(audit.findings[EF_CLAIM_ENVY].verdict, EF_NOT_CLAIMED);
}

/* All bids 0..7 of three bidders: 512 outcomes, of which every change of one bid leads to another one. */
enum { GRID = 8, PROFILES = GRID * GRID * GRID, COINS = 8 };

static void clear_all(const ef_mechanism *mechanism, ef_market *market, const ef_coin *coin,
                      ef_award (*awards)[3]) {
  ef_setting setting = {.aeria = {.c = 2}};
  ef_auction *auction;
  cr_assert_eq(ef_auction_create(3, &auction), EF_OK);
  for (int profile = 0; profile < PROFILES; profile++) {
    double bid[3] = {profile % GRID, profile / GRID % GRID, profile / GRID / GRID};
    market->bid = bid;
    cr_assert_eq(mechanism->clear(auction, market, &setting, coin, awards[profile]), EF_OK);
  }
  ef_auction_free(auction);
}

static double utility(const ef_award *award, int value) {
  return award->fate == EF_FATE_WIN ? value - award->payment : 0;
}

static size_t count_gains(ef_award (*awards)[3]) {
  static const int stride[3] = {1, GRID, GRID * GRID};
  size_t gains = 0;
  for (int truth = 0; truth < PROFILES; truth++) {
    for (int i = 0; i < 3; i++) {
      int value = truth / stride[i] % GRID, others = truth - value * stride[i];
      double best = utility(&awards[truth][i], value);
      for (int lie = 0; lie < GRID; lie++)
        gains += utility(&awards[others + lie * stride[i]][i], value) > best + 1e-9;
    }
  }
  return gains;
}

static size_t gains_of(const char *name) {
  static const int64_t demands[][3] = {{1, 1, 1}, {1, 2, 3}, {2, 2, 1}, {3, 3, 3}};
  static const int64_t capacities[] = {2, 4, 9};
  static ef_award awards[PROFILES][3];
  size_t gains = 0;
  for (size_t d = 0; d < 4; d++) {
    for (size_t c = 0; c < 3; c++) {
      for (int k = 0; k < COINS; k++) {
        ef_market market = {.n = 3, .demand = demands[d], .capacity = capacities[c]};
        clear_all(ef_mechanism_find(name), &market, &(ef_coin){.u = (k + 0.5) / COINS, .v = 0.5}, awards);
        gains += count_gains(awards);
      }
    }
  }
  return gains;
}

Test(audit_examples, all_integer_bids_of_three_bidders) {
  cr_assert_eq(gains_of("aeria-t"), 0);
  cr_assert_eq(gains_of("aeria-d"), 0);
  cr_assert_gt(gains_of("aeria-e"), 0);
}

/* The audit's own misreports find the same on those markets, the bids of which tie all the time. */
Test(audit_examples, ties) {
  static const int64_t demand[] = {1, 2, 3};
  for (int profile = 0; profile < PROFILES; profile += 3) {
    double bid[3] = {profile % GRID, profile / GRID % GRID, profile / GRID / GRID};
    ef_market market = {.n = 3, .bid = bid, .demand = demand, .capacity = 4};
    static const char *const names[] = {"aeria-t", "aeria-d"};
    for (size_t k = 0; k < 2; k++) {
      ef_audit audit;
      ef_audit_spec spec = {.mechanism = ef_mechanism_find(names[k]), .setting.aeria.c = 2, .coins = 4};
      cr_assert_eq(ef_audit_market(&market, &spec, &audit), EF_OK);
      cr_assert_not(ef_audit_fails(&audit), "bids %g %g %g", bid[0], bid[1], bid[2]);
    }
  }
}
