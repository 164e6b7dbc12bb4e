/* What the true mechanisms claim is found to hold; the generic path and the fast one see the same. */
#include "test_audit.h"

#include "base/memory.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void expect(const ef_audit *audit, ef_claim claim, ef_audit_verdict verdict) {
  const ef_finding *finding = &audit->findings[claim];
  cr_assert_eq(finding->verdict, verdict, "%s: %s: %s", ef_claim_name(claim),
               ef_verdict_name(finding->verdict), finding->example);
}

static void audit_of(const char *name, double vickrey_prob, ef_audit *sum) {
  size_t blocks = ef_memory_blocks();
  test_audit_sum(ef_mechanism_find(name), vickrey_prob, true, 40, sum);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

Test(audit_claims, variant_t) {
  ef_audit sum;
  audit_of("aeria-t", 0, &sum);
  expect(&sum, EF_CLAIM_TRUTHFUL, EF_HOLDS);
  expect(&sum, EF_CLAIM_DEMAND, EF_NOT_CLAIMED);
  expect(&sum, EF_CLAIM_RATIONAL, EF_HOLDS);
  expect(&sum, EF_CLAIM_CAPACITY, EF_HOLDS);
  expect(&sum, EF_CLAIM_RESERVE, EF_HOLDS);
  expect(&sum, EF_CLAIM_ENVY_PRICE, EF_HOLDS_UNDER_CONSENSUS);
  expect(&sum, EF_CLAIM_ENVY, EF_HOLDS_UNDER_CONSENSUS);
  expect(&sum, EF_CLAIM_BUDGET, EF_HOLDS);
  expect(&sum, EF_CLAIM_ESTIMATE, EF_HOLDS);
  expect(&sum, EF_CLAIM_REVENUE, EF_HOLDS);
  cr_assert_gt(sum.findings[EF_CLAIM_ENVY].faults, 0);
  cr_assert_gt(sum.consensus_rate, 0);
  cr_assert_lt(sum.consensus_rate, 1);
}

Test(audit_claims, variant_t_with_the_vickrey_branch) {
  ef_audit sum;
  audit_of("aeria-t", 0.59, &sum);
  expect(&sum, EF_CLAIM_TRUTHFUL, EF_HOLDS);
  expect(&sum, EF_CLAIM_BUDGET, EF_HOLDS);
  expect(&sum, EF_CLAIM_REVENUE, EF_HOLDS);
  cr_assert_not(ef_audit_fails(&sum));
}

Test(audit_claims, variant_e) {
  ef_audit sum;
  audit_of("aeria-e", 0, &sum);
  expect(&sum, EF_CLAIM_TRUTHFUL, EF_HOLDS_UNDER_CONSENSUS);
  cr_assert_gt(sum.findings[EF_CLAIM_TRUTHFUL].faults, 0);
  cr_assert_gt(sum.findings[EF_CLAIM_DEMAND].faults, 0);
  expect(&sum, EF_CLAIM_ENVY_PRICE, EF_HOLDS);
  expect(&sum, EF_CLAIM_ENVY, EF_HOLDS);
  expect(&sum, EF_CLAIM_BUDGET, EF_HOLDS);
  expect(&sum, EF_CLAIM_ESTIMATE, EF_HOLDS);
  expect(&sum, EF_CLAIM_REVENUE, EF_HOLDS);
}

Test(audit_claims, variant_d) {
  ef_audit sum;
  audit_of("aeria-d", 0, &sum);
  expect(&sum, EF_CLAIM_TRUTHFUL, EF_HOLDS);
  expect(&sum, EF_CLAIM_DEMAND, EF_HOLDS);
  expect(&sum, EF_CLAIM_ESTIMATE, EF_HOLDS);
  expect(&sum, EF_CLAIM_ENVY, EF_NOT_CLAIMED);
  expect(&sum, EF_CLAIM_REVENUE, EF_NOT_CLAIMED);
  cr_assert_gt(sum.findings[EF_CLAIM_DEMAND].checks, 1000);
}

/* aeria.md, section 5: which rules are truthful and which have one price. */
Test(audit_claims, no_row_of_the_table_claims_too_much) {
  for (const ef_mechanism *m = ef_mechanisms; m->name; m++) {
    ef_audit sum;
    test_audit_sum(m, 0, false, 40, &sum);
    for (ef_claim claim = 0; claim < EF_CLAIM_COUNT; claim++)
      cr_expect_neq(sum.findings[claim].verdict, EF_FAILS, "%s: %s: %s", m->name, ef_claim_name(claim),
                    sum.findings[claim].example);
  }
}

Test(audit_claims, rules_that_invite_lies_are_seen_to) {
  static const char *const names[] = {"pay-as-bid", "omniscient-f", "omniscient-f2", "proportional"};
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    ef_audit sum;
    test_audit_sum(ef_mechanism_find(names[k]), 0, false, 8, &sum);
    expect(&sum, EF_CLAIM_TRUTHFUL, EF_NOT_CLAIMED);
    cr_assert_gt(sum.findings[EF_CLAIM_TRUTHFUL].faults, 0, "%s", names[k]);
  }
}

static const ef_mechanism *wrapped;
static ef_status wrapper(ef_auction *a, const ef_market *market, const ef_setting *setting,
                         const ef_coin *coin, ef_award *awards) {
  return wrapped->clear(a, market, setting, coin, awards);
}

Test(audit_claims, fast_path_sees_what_the_generic_path_sees) {
  static const char *const names[] = {"aeria-t", "aeria-e", "aeria-d"};
  for (size_t k = 0; k < 3; k++) {
    ef_audit fast, generic;
    wrapped = ef_mechanism_find(names[k]);
    ef_mechanism other = *wrapped;
    other.clear = wrapper;
    test_audit_sum(wrapped, 0.3, true, 8, &fast);
    test_audit_sum(&other, 0.3, true, 8, &generic);
    for (ef_claim claim = 0; claim < EF_CLAIM_REVENUE; claim++) {
      const ef_finding *a = &fast.findings[claim], *b = &generic.findings[claim];
      cr_assert_eq(a->verdict, b->verdict);
      cr_assert_eq(a->checks, b->checks);
      cr_assert_eq(a->faults, b->faults);
      cr_assert_eq(a->worst, b->worst);
      cr_assert_str_eq(a->example, b->example);
    }
    cr_assert_eq(fast.deviations, generic.deviations);
  }
}

Test(audit_claims, a_sample_is_a_sample) {
  test_audit_market m;
  ef_audit audit, again;
  test_audit_market_make(5, &m);
  ef_audit_spec spec = {.mechanism = ef_mechanism_find("aeria-t"),
                        .setting.aeria.c = 2,
                        .most_users = 1,
                        .most_points = 1,
                        .seed = 3};
  cr_assert_eq(ef_audit_market(&m.market, &spec, &audit), EF_OK);
  cr_assert_eq(ef_audit_market(&m.market, &spec, &again), EF_OK);
  cr_assert_eq(audit.replayed, 1);
  cr_assert_eq(audit.deviations, again.deviations);
  cr_assert_leq(audit.deviations, 3 + 10 + 8 + 1 + 5);
}

Test(audit_claims, an_empty_market_is_not_accused) {
  ef_market market = {.capacity = 4};
  ef_audit audit;
  ef_audit_spec spec = {
      .mechanism = ef_mechanism_find("aeria-t"), .setting.aeria.c = 2, .coins = 2, .demands = true};
  cr_assert_eq(ef_audit_market(&market, &spec, &audit), EF_OK);
  cr_assert_not(ef_audit_fails(&audit));
  cr_assert_eq(audit.findings[EF_CLAIM_TRUTHFUL].verdict, EF_NOT_CHECKED);
  cr_assert(isnan(audit.ratio));
}

/* The exact expectation against the mean over 4000 evenly spaced coins. */
Test(audit_claims, expectation_is_plausible) {
  for (uint64_t seed = 0; seed < 12; seed++) {
    test_audit_market m;
    ef_audit audit;
    test_audit_market_make(seed, &m);
    ef_audit_spec spec = {.mechanism = ef_mechanism_find(seed % 2 ? "aeria-t" : "aeria-e"),
                          .setting.aeria.c = 2,
                          .coin.u = 0.5,
                          .coins = 4000,
                          .most_users = 1,
                          .most_points = 1};
    cr_assert_eq(ef_audit_market(&m.market, &spec, &audit), EF_OK);
    cr_assert_float_eq(audit.mean_profit, audit.expected_profit, 2e-3 * audit.f2, "%g %g", audit.mean_profit,
                       audit.expected_profit);
    cr_assert_geq(audit.expected_profit, audit.bound * (1 - 1e-9));
  }
}
