/* What a run says of its market: report.json, report.md and market.h5 of a clearing made by hand, three
 * devices of which one wins, one loses and one cannot be served. */
#include "report/market.h"

#include "base/memory.h"
#include "support/sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 3, EXITS = 2, POLICIES = 2 };

static char name[] = "qwen2_moe", hash[] = "00112233445566778899aabbccddeeff", layer[] = "layer0";
static double leave[POLICIES][EXITS] = {{0.75, 0.25}, {0.0, 1.0}};

typedef struct made {
  ef_clearing_run c;
  ef_layer_cost layers[4];
  ef_exit exits[EXITS];
  ef_policy policies[POLICIES];
  ef_workload workload;
  ef_provider provider;
  ef_user users[DEVICES];
  ef_user_outcome outcomes[DEVICES];
  ef_market_summary market;
} made;

static void make_workload(made *m) {
  for (size_t l = 0; l < 4; l++) m->layers[l] = (ef_layer_cost){.name = layer, .flops = 1e6};
  m->exits[0] = (ef_exit){.after = 2, .accuracy = 0.25};
  m->exits[1] = (ef_exit){.after = 4, .accuracy = 0.5};
  m->policies[0] = (ef_policy){.threshold = 0.3, .accuracy = 0.375, .leave = leave[0]};
  m->policies[1] = (ef_policy){.threshold = 1.0, .accuracy = 0.5, .leave = leave[1]};
  m->workload = (ef_workload){.name = name,
                              .checkpoint = hash,
                              .autoregressive = true,
                              .prompt_tokens = 64,
                              .decode_tokens = 32,
                              .measured_flops = 2.5e9,
                              .layers = m->layers,
                              .layer_count = 4,
                              .exits = m->exits,
                              .exit_count = EXITS,
                              .policies = m->policies,
                              .policy_count = POLICIES};
}

/* Four units at 0.75 of ten, at a cost of 0.5: 3 are paid, 1 is profit. */
static void make_users(made *m) {
  m->users[0] = (ef_user){.value = 5, .bid = 5, .deadline = 0.5};
  m->users[1] = (ef_user){.value = 2.5, .bid = 2.5, .deadline = 0.25};
  m->users[2] = (ef_user){.deadline = 0.125};
  ef_demand wins = {.need = EF_NEED_EDGE,
                    .units = 4,
                    .choice = 0,
                    .partition = 1,
                    .device_s = 0.125,
                    .network_s = 0.0625,
                    .edge_s = 0.3125};
  ef_demand loses = {.need = EF_NEED_EDGE, .units = 5, .choice = 1, .edge_s = 0.25};
  ef_demand cannot = {.need = EF_NEED_INFEASIBLE, .choice = SIZE_MAX, .partition = SIZE_MAX};
  m->outcomes[0] = (ef_user_outcome){wins, EF_USER_WIN, 0.75, 3.0};
  m->outcomes[1] = (ef_user_outcome){loses, EF_USER_LOSE, 0.0, 0.0};
  m->outcomes[2] = (ef_user_outcome){cannot, EF_USER_INFEASIBLE, 0.0, 0.0};
}

static void make_audit(ef_audit *audit) {
  *audit = (ef_audit){.markets = 1, .bidders = 2, .deviations = 123};
  for (int i = 0; i < EF_CLAIM_COUNT; i++) audit->findings[i].verdict = EF_HOLDS;
  audit->findings[EF_CLAIM_TRUTHFUL].checks = 120;
  audit->findings[EF_CLAIM_DEMAND].verdict = EF_NOT_CLAIMED;
  audit->findings[EF_CLAIM_ENVY] = (ef_finding){.verdict = EF_HOLDS_UNDER_CONSENSUS,
                                                .checks = 9,
                                                .faults = 2,
                                                .worst = 0.5,
                                                .example = "device1 would rather be device0"};
}

static void make(made *m) {
  *m = (made){.provider = {.share = 1.0}};
  make_workload(m);
  make_users(m);
  m->market = (ef_market_summary){.capacity = 10,
                                  .users = 2,
                                  .kept = 2,
                                  .floor = 0.125,
                                  .f = 1.5,
                                  .f2 = 1.25,
                                  .consensus = true,
                                  .sale = {.winners = 1, .used = 4, .revenue = 3, .profit = 1},
                                  .expected = {.profit = 0.875, .bound = 0.375}};
  m->c = (ef_clearing_run){.done = true,
                           .tokens = 1000,
                           .instance = {.rules = ef_rules_default(),
                                        .workloads = &m->workload,
                                        .workload_count = 1,
                                        .providers = &m->provider,
                                        .provider_count = 1,
                                        .users = m->users,
                                        .user_count = DEVICES},
                           .users = m->outcomes,
                           .outcome = {.market_count = 1,
                                       .user_count = DEVICES,
                                       .markets = &m->market,
                                       .users = m->outcomes,
                                       .coin = {0.25, 0.625},
                                       .revenue = 3,
                                       .profit = 1,
                                       .infrastructure_income = 2},
                           .audited = true};
  m->c.instance.rules.variant = EF_VARIANT_D;
  m->c.instance.rules.capacity = 10;
  m->c.instance.rules.unit_cost = 0.5;
  make_audit(&m->c.audit);
}

/* ---- report.json ----------------------------------------------------------------------------------------
 */

static double number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  cr_assert(json_is_number(value), "%s", key);
  return json_number_value(value);
}

static const char *text(const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  return value ? value : "";
}

static void expect_sale(const json_t *out) {
  static const struct {
    const char *key;
    double value;
  } figures[] = {{"profiled_tokens", 1000},
                 {"measured_flops", 2.5e9},
                 {"users", 3},
                 {"c", 2},
                 {"unit_flops", 1e9},
                 {"unit_cost", 0.5},
                 {"capacity", 10},
                 {"bidders", 2},
                 {"kept", 2},
                 {"winners", 1},
                 {"used", 4},
                 {"floor", 0.125},
                 {"F", 1.5},
                 {"F2", 1.25},
                 {"revenue", 3},
                 {"profit", 1},
                 {"expected_profit", 0.875},
                 {"bound", 0.375},
                 {"infrastructure_income", 2}};
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
    cr_expect_eq(number(out, figures[i].key), figures[i].value, "%s", figures[i].key);
  }
  cr_expect_str_eq(text(out, "workload"), name);
  cr_expect_str_eq(text(out, "checkpoint"), hash);
  cr_expect_str_eq(text(out, "variant"), "D");
  cr_expect(json_is_true(json_object_get(out, "consensus")));
  cr_expect_eq(number(json_object_get(out, "coin"), "u"), 0.25);
  cr_expect_eq(number(json_object_get(out, "coin"), "v"), 0.625);
}

static void expect_devices(const json_t *out) {
  const json_t *list = json_object_get(out, "per_device"), *counts = json_object_get(out, "statuses");
  cr_assert_eq(json_array_size(list), (size_t)DEVICES);
  const json_t *wins = json_array_get(list, 0), *cannot = json_array_get(list, 2);
  cr_expect_str_eq(text(wins, "status"), "win");
  cr_expect_eq(number(wins, "bid"), 5);
  cr_expect_eq(number(wins, "units"), 4);
  cr_expect_eq(number(wins, "policy"), 0);
  cr_expect_eq(number(wins, "partition"), 1);
  cr_expect_eq(number(wins, "unit_price"), 0.75);
  cr_expect_eq(number(wins, "payment"), 3);
  cr_expect_str_eq(text(json_array_get(list, 1), "status"), "lose");
  cr_expect_eq(number(json_array_get(list, 1), "device"), 1);
  cr_expect_str_eq(text(cannot, "status"), "infeasible");
  cr_expect(json_is_null(json_object_get(cannot, "policy")));
  cr_expect(json_is_null(json_object_get(cannot, "partition")));
  cr_expect_eq(json_object_size(counts), (size_t)EF_USER_STATUS_COUNT);
  for (int s = 0; s < EF_USER_STATUS_COUNT; s++) {
    double expected = s == EF_USER_WIN || s == EF_USER_LOSE || s == EF_USER_INFEASIBLE;
    cr_expect_eq(number(counts, ef_user_status_name((ef_user_status)s)), expected, "%d", s);
  }
}

Test(report_market, json) {
  made m;
  make(&m);
  json_t *out = ef_report_market_json(&m.c);
  cr_assert_not_null(out);
  expect_sale(out);
  expect_devices(out);
  const json_t *policy = json_array_get(json_object_get(out, "policies"), 0);
  cr_expect_eq(number(policy, "threshold"), 0.3);
  cr_expect_eq(number(policy, "accuracy"), 0.375);
  cr_expect_eq(json_number_value(json_array_get(json_object_get(policy, "leave"), 1)), 0.25);
  const json_t *last = json_array_get(json_object_get(out, "exits"), 1);
  cr_expect(number(last, "layer") == 4 && number(last, "accuracy") == 0.5);
  const json_t *audit = json_object_get(out, "audit"), *envy = json_object_get(audit, "envy");
  cr_expect(json_is_true(json_object_get(audit, "passes")));
  cr_expect_str_eq(text(envy, "verdict"), "holds under consensus");
  cr_expect(number(envy, "checks") == 9 && number(envy, "faults") == 2 && number(envy, "worst") == 0.5);
  cr_expect_str_eq(text(envy, "example"), "device1 would rather be device0");
  json_decref(out);
  m.c.audit.findings[EF_CLAIM_CAPACITY].verdict = EF_FAILS;
  out = ef_report_market_json(&m.c);
  cr_expect(json_is_false(json_object_get(json_object_get(out, "audit"), "passes")));
  json_decref(out);
}

Test(report_market, no_market_and_nobody_who_bids) {
  ef_clearing_run none = {0};
  json_t *out = ef_report_market_json(&none);
  cr_expect(json_is_null(out));
  json_decref(out);
  made m;
  make(&m);
  m.c.audited = false;
  out = ef_report_market_json(&m.c);
  cr_expect(json_is_null(json_object_get(out, "audit")));
  json_decref(out);
}

/* ---- report.md ------------------------------------------------------------------------------------------
 */

static char *page_of(const ef_clearing_run *c) {
  char *page = NULL;
  size_t bytes;
  FILE *out = open_memstream(&page, &bytes);
  cr_assert_not_null(out);
  cr_assert_eq(ef_report_market_md(c, out), EF_OK, "%s", ef_message());
  fclose(out);
  return page;
}

/* Whether a line of the page has these cells, whatever blanks are between them. */
static bool has_row(const char *page, const char *const *cells, size_t count) {
  for (const char *line = page; line; line = strchr(line, '\n')) {
    size_t i = 0;
    const char *at = line + strspn(line, "\n");
    line = at;
    for (; i < count && *at == '|'; i++) {
      at += 1 + strspn(at + 1, " ");
      size_t n = strlen(cells[i]);
      if (strncmp(at, cells[i], n) != 0) break;
      at += n + strspn(at + n, " ");
    }
    if (i == count && *at == '|' && at[1] == '\n') return true;
  }
  return false;
}
#define HAS_ROW(page, ...)                                                                                   \
  cr_expect(has_row(page, (const char *const[]){__VA_ARGS__},                                                \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)),                            \
            "%s", page)

Test(report_market, markdown) {
  made m;
  make(&m);
  char *page = page_of(&m.c);
  cr_expect_eq(strncmp(page, "## Edge market\n", 15), 0);
  cr_expect_not_null(strstr(page, "(64 prompt tokens, 32 decoded)"));
  cr_expect_not_null(strstr(page, "variant D, c = 2, clears 10 units of 1 GFLOP/s at a unit cost of 0.5."));
  cr_expect_not_null(strstr(page, "2 of 3 devices bid, 1 win 4 units; revenue 3.0000, profit 1.0000 "
                                  "(F2 1.2500, expected over the coin 0.8750, guaranteed 0.3750)"));
  cr_expect_not_null(strstr(page, "the estimates agree: one price"));
  cr_expect_not_null(strstr(page, "123 misreports"));
  HAS_ROW(page, "0.3", "37.50", "75.00", "2.50");
  HAS_ROW(page, "1", "50.00", "0.00", "4.00");
  HAS_ROW(page, "0", "win", "5.0000", "4", "0.3", "1", "0.7500", "3.0000");
  HAS_ROW(page, "1", "lose", "2.5000", "5", "1", "0", "0.0000", "0.0000");
  HAS_ROW(page, "2", "infeasible", "0.0000", "0", "-", "-", "0.0000", "0.0000");
  HAS_ROW(page, "envy", "holds under consensus", "9", "2");
  free(page);
  m.market.sale = (ef_sale){0};
  page = page_of(&m.c);
  cr_expect_null(strstr(page, "the estimates agree"), "nobody pays a price");
  free(page);
  page = page_of(&(ef_clearing_run){0});
  cr_expect_str_eq(page, "");
  free(page);
}

/* ---- market.h5 ------------------------------------------------------------------------------------------
 */

static void expect_column(ef_h5 *file, const char *path, size_t n, const double *expected) {
  double data[16];
  ef_h5_array array = {.path = path, .type = EF_H5_F64, .rank = 1, .shape = {n}};
  cr_assert_eq(ef_h5_read(file, &array, data), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < n; i++) cr_expect_eq(data[i], expected[i], "%s[%zu]", path, i);
}

static void expect_auction(ef_h5 *file) {
  static const struct {
    const char *path;
    double expected[DEVICES];
  } columns[] = {{"/auction/payment", {3, 0, 0}},        {"/auction/bid", {5, 2.5, 0}},
                 {"/auction/value", {5, 2.5, 0}},        {"/auction/units", {4, 5, 0}},
                 {"/auction/unit_price", {0.75, 0, 0}},  {"/auction/status", {6, 5, 0}},
                 {"/auction/device_s", {0.125, 0, 0}},   {"/auction/network_s", {0.0625, 0, 0}},
                 {"/auction/edge_s", {0.3125, 0.25, 0}}, {"/auction/deadline", {0.5, 0.25, 0.125}},
                 {"/auction/device", {0, 1, 2}}};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
    expect_column(file, columns[i].path, DEVICES, columns[i].expected);
  }
  double profit;
  int64_t capacity;
  char *model;
  cr_assert_eq(ef_h5_get_real(file, "/auction", "profit", &profit), EF_OK);
  cr_assert_eq(ef_h5_get_int(file, "/auction", "capacity", &capacity), EF_OK);
  cr_assert_eq(ef_h5_get_text(file, "/auction", "model", &model), EF_OK);
  cr_expect(profit == 1 && capacity == 10);
  cr_expect_str_eq(model, hash);
  ef_free(model);
}

static void expect_policies(ef_h5 *file) {
  char *axis = NULL;
  cr_assert_eq(ef_h5_get_text(file, "/policies", "axes", &axis), EF_OK, "%s", ef_message());
  cr_expect_str_eq(axis, "threshold");
  ef_free(axis);
  double shares[POLICIES][EXITS];
  ef_h5_array array = {.path = "/policies/leave", .type = EF_H5_F64, .rank = 2, .shape = {POLICIES, EXITS}};
  expect_column(file, "/policies/threshold", POLICIES, (double[]){0.3, 1.0});
  expect_column(file, "/policies/accuracy", POLICIES, (double[]){0.375, 0.5});
  expect_column(file, "/policies/leave_early", POLICIES, (double[]){0.75, 0.0});
  cr_assert_eq(ef_h5_read(file, &array, shares), EF_OK, "%s", ef_message());
  cr_expect_arr_eq(shares, leave, sizeof shares);
}

static void expect_audit(ef_h5 *file) {
  char *claims;
  double faults[EF_CLAIM_COUNT] = {[EF_CLAIM_ENVY] = 2};
  double checks[EF_CLAIM_COUNT] = {[EF_CLAIM_TRUTHFUL] = 120, [EF_CLAIM_ENVY] = 9};
  double verdicts[EF_CLAIM_COUNT] = {[EF_CLAIM_DEMAND] = 3, [EF_CLAIM_ENVY] = 1};
  expect_column(file, "/audit/faults", EF_CLAIM_COUNT, faults);
  expect_column(file, "/audit/checks", EF_CLAIM_COUNT, checks);
  expect_column(file, "/audit/verdict", EF_CLAIM_COUNT, verdicts);
  cr_assert_eq(ef_h5_get_text(file, "/audit", "claims", &claims), EF_OK, "%s", ef_message());
  cr_expect_str_eq(claims,
                   "truthful,demand,rational,capacity,reserve,envy_price,envy,budget,estimate,revenue");
  ef_free(claims);
}

static ef_h5 *file_of(const sample *s, const ef_clearing_run *c) {
  char path[512];
  ef_h5 *file;
  cr_assert_eq(ef_report_market_file(&s->run, c), EF_OK, "%s", ef_message());
  snprintf(path, sizeof path, "%s/market.h5", s->folder);
  cr_assert_eq(ef_h5_open(path, "series", &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  return file;
}

Test(report_market, hdf5) {
  sample s;
  made m;
  sample_make(&s, NULL);
  make(&m);
  ef_h5 *file = file_of(&s, &m.c);
  expect_auction(file);
  expect_policies(file);
  expect_audit(file);
  ef_h5_close(file);
  m.c.audited = false;
  file = file_of(&s, &m.c);
  cr_expect_not(ef_h5_has(file, "/audit"));
  ef_h5_close(file);
  sample_free(&s);
}

Test(report_market, no_market_no_file) {
  sample s;
  char path[512];
  sample_make(&s, NULL);
  cr_assert_eq(ef_report_market_file(&s.run, &(ef_clearing_run){0}), EF_OK);
  snprintf(path, sizeof path, "%s/market.h5", s.folder);
  FILE *file = fopen(path, "rb");
  cr_expect_null(file);
  if (file) fclose(file);
  sample_free(&s);
}
