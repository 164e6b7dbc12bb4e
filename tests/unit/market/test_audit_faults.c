/* Planted faults: each is found, and the same mechanism without a fault is not accused. */
#include "test_audit.h"

#include <criterion/criterion.h>

enum { MARKETS = 60 };

static void expect_fails(test_fault fault, ef_claim claim) {
  ef_mechanism broken = test_audit_broken(fault);
  ef_audit sum;
  test_audit_sum(&broken, 0, false, MARKETS, &sum);
  cr_assert(ef_audit_fails(&sum));
  const ef_finding *finding = &sum.findings[claim];
  cr_assert_eq(finding->verdict, EF_FAILS, "%s: %s", ef_claim_name(claim), ef_verdict_name(finding->verdict));
  cr_assert_gt(finding->faults, 0);
  cr_assert_gt(finding->worst, 0);
  cr_assert_neq(finding->example[0], '\0');
}

Test(audit_faults, no_capacity_stage) { expect_fails(TEST_NO_CAPACITY, EF_CLAIM_CAPACITY); }
Test(audit_faults, no_floor) { expect_fails(TEST_NO_FLOOR, EF_CLAIM_TRUTHFUL); }
Test(audit_faults, pay_as_bid) { expect_fails(TEST_PAY_AS_BID, EF_CLAIM_TRUTHFUL); }
Test(audit_faults, one_winner_too_many) { expect_fails(TEST_ONE_MORE, EF_CLAIM_RATIONAL); }
Test(audit_faults, one_winner_too_few) {
  expect_fails(TEST_ONE_LESS, EF_CLAIM_TRUTHFUL);
  expect_fails(TEST_ONE_LESS, EF_CLAIM_BUDGET);
}
Test(audit_faults, estimate_rounded_up) { expect_fails(TEST_ROUND_UP, EF_CLAIM_ESTIMATE); }
Test(audit_faults, estimate_off_the_grid) {
  expect_fails(TEST_OFF_GRID, EF_CLAIM_ESTIMATE);
  expect_fails(TEST_OFF_GRID, EF_CLAIM_BUDGET);
}
Test(audit_faults, own_bid_in_own_estimate) {
  expect_fails(TEST_OWN_BID, EF_CLAIM_TRUTHFUL);
  expect_fails(TEST_OWN_BID, EF_CLAIM_ESTIMATE);
}
Test(audit_faults, payment_is_not_price_times_units) { expect_fails(TEST_FEE, EF_CLAIM_BUDGET); }
Test(audit_faults, loser_pays) {
  expect_fails(TEST_LOSER_PAYS, EF_CLAIM_RATIONAL);
  expect_fails(TEST_LOSER_PAYS, EF_CLAIM_BUDGET);
}

/* Variant E's own clearing under the name and the claims of T, by the fast path. */
Test(audit_faults, variant_e_marked_as_truthful) {
  ef_mechanism liar = *ef_mechanism_find("aeria-t");
  ef_audit sum;
  liar.clear = ef_mechanism_find("aeria-e")->clear;
  test_audit_sum(&liar, 0, false, MARKETS, &sum);
  cr_assert_eq(sum.findings[EF_CLAIM_TRUTHFUL].verdict, EF_FAILS);
  cr_assert_eq(sum.findings[EF_CLAIM_ESTIMATE].verdict, EF_FAILS);
}

/* T and E under the name of D, which alone is safe against over-stated demand (aeria.md, 3.7). */
Test(audit_faults, a_rule_that_rewards_overstated_demand) {
  static const char *const names[] = {"aeria-t", "aeria-e"};
  for (size_t k = 0; k < 2; k++) {
    ef_mechanism liar = *ef_mechanism_find("aeria-d");
    ef_audit sum;
    liar.clear = ef_mechanism_find(names[k])->clear;
    test_audit_sum(&liar, 0, true, 120, &sum);
    cr_assert_eq(sum.findings[EF_CLAIM_DEMAND].verdict, EF_FAILS, "%s", names[k]);
  }
}

Test(audit_faults, the_sound_one_is_not_accused) {
  ef_mechanism sound = test_audit_broken(TEST_SOUND);
  ef_audit sum;
  test_audit_sum(&sound, 0, false, MARKETS, &sum);
  for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++)
    cr_assert_neq(sum.findings[claim].verdict, EF_FAILS, "%s: %s", ef_claim_name(claim),
                  sum.findings[claim].example);
}
