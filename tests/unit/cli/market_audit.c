/* `edgefuse market audit`: what it prints, and that a claim that fails is exit code 1. */
#include "test_cli.h"

#include "cli/market_audit_report.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *small(void) {
  static char path[PATH];
  const char *source = getenv("EDGEFUSE_SOURCE");
  if (!source) cr_skip_test("EDGEFUSE_SOURCE is not set");
  snprintf(path, sizeof path, "%s/inputs/markets/small.json", source);
  return path;
}

static json_t *audit_of(const char *const *arguments, ef_status expected) {
  static char out[1 << 16];
  cr_assert_eq(run_command(out, sizeof out, arguments), expected, "%s", ef_message());
  json_t *json = json_loads(out, 0, NULL);
  cr_assert_not_null(json, "%s", out);
  return json;
}

static const char *verdict(const json_t *json, const char *claim) {
  const json_t *claims = json_object_get(json, "claims");
  return json_string_value(json_object_get(json_object_get(claims, claim), "verdict"));
}

Test(market_audit, every_variant_keeps_its_word) {
  static const char *const variants[][2] = {{"T", "holds"}, {"E", "holds under consensus"}, {"D", "holds"}};
  for (size_t v = 0; v < 3; v++) {
    json_t *json = audit_of((const char *[]){"market", "audit", small(), "--variant", variants[v][0],
                                             "--json", "--demands", "--coins", "4", NULL},
                            EF_OK);
    cr_expect_str_eq(verdict(json, "truthful"), variants[v][1]);
    cr_expect_str_eq(verdict(json, "demand"), v == 2 ? "holds" : "not claimed");
    cr_expect_str_eq(json_string_value(json_object_get(json, "variant")), variants[v][0]);
    cr_expect_str_eq(json_string_value(json_object_get(json, "verdict")), "holds");
    json_t *market = json_array_get(json_object_get(json, "markets"), 0);
    cr_expect(json_is_false(json_object_get(market, "sampled")));
    cr_expect_gt(json_integer_value(json_object_get(market, "deviations")), 100);
    json_decref(json);
  }
}

Test(market_audit, sample_and_rival) {
  json_t *json = audit_of((const char *[]){"market", "audit", small(), "--mechanism", "pay-as-bid", "--users",
                                           "2", "--json", NULL},
                          EF_OK);
  cr_expect_str_eq(verdict(json, "truthful"), "not claimed");
  cr_expect(json_is_null(json_object_get(json, "variant")));
  json_t *market = json_array_get(json_object_get(json, "markets"), 0);
  cr_expect(json_is_true(json_object_get(market, "sampled")));
  cr_expect_eq(json_integer_value(json_object_get(market, "replayed")), 2);
  json_decref(json);
}

Test(market_audit, mistakes) {
  cr_expect_eq(RUN_QUIET("market", "audit"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("market", "audit", small(), "--mechanism", "x"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("market", "audit", small(), "--variant", "X"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("market", "audit", small(), "--variant", "T", "--mechanism", "rsop"), EF_USAGE);
  cr_expect_eq(RUN_QUIET("market", "audit", "none.json"), EF_INPUT);
}

Test(market_audit, a_claim_that_fails_is_a_difference) {
  ef_audit_spec spec = {.mechanism = ef_mechanism_find("aeria-t")};
  ef_market_audit audit = {.name = "pooled", .audit = {.markets = 1, .bidders = 2}};
  audit.audit.findings[EF_CLAIM_CAPACITY] =
      (ef_finding){.verdict = EF_FAILS, .checks = 1, .faults = 1, .example = "5 units sold of 4"};
  FILE *before = stdout;
  stdout = fopen("/dev/null", "w");
  ef_status status = ef_market_audit_print(&spec, &audit, 1, false);
  fclose(stdout);
  stdout = before;
  cr_assert_eq(status, EF_DIFFERS);
  cr_assert_eq(ef_status_exit_code(status), 1);
  cr_assert_str_eq(ef_message(),
                   "market audit: aeria-t: the claim \"capacity\" fails 1 times: 5 units sold of 4");
}
