/* plan: the paper's setting as JSON and as text, a deck as train --dry-run plans it, and refusals. */
#include "test_cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *paper(const char *bytes) {
  static char out[1 << 16];
  cr_assert_eq(RUN(out, "plan", "--paper", "--json", "--bytes", bytes), EF_OK, "%s", ef_message());
  json_t *json = json_loads(out, 0, NULL);
  cr_assert_not_null(json, "%s", out);
  return json;
}

/* Bytes of a method in row `row` of the first case. */
static double bytes_of(const json_t *json, size_t row, const char *method) {
  const json_t *c = json_array_get(json_object_get(json, "cases"), 0);
  const json_t *bytes = json_object_get(json_array_get(json_object_get(c, "rows"), row), "bytes");
  return json_number_value(json_object_get(bytes, method));
}

Test(plan_command, paper_as_json) {
  json_t *two = paper("2"), *half = paper("0.5");
  cr_expect_eq(json_array_size(json_object_get(two, "models")), 7u);
  cr_expect_eq(json_array_size(json_object_get(two, "cases")), 2u);
  cr_expect_eq(json_array_size(json_object_get(two, "memory")), 7u);
  /* 16 * 2 * 2 * 14315784192, and 16 clients with 2273937408 numbers up and down */
  cr_expect_float_eq(bytes_of(two, 0, "FedAvg"), 64.0 * 14315784192, 1.0);
  cr_expect_float_eq(bytes_of(half, 0, "FedJETS"), 16.0 * 2273937408, 1.0);
  cr_expect_float_eq(bytes_of(two, 3, "FedJETS"), 32.0 * bytes_of(half, 0, "FedJETS"), 1.0);
  json_decref(two);
  json_decref(half);
}

Test(plan_command, paper_settings_reach_the_page) {
  static char out[1 << 15];
  cr_assert_eq(RUN(out, "plan", "--paper", "--bytes=0.5", "--rounds=7", "--experts-per-client=3"), EF_OK);
  cr_expect_not_null(strstr(out, "0.5 bytes per number"));
  cr_expect_not_null(strstr(out, "7 rounds"));
  cr_expect_not_null(strstr(out, "3 routed experts"));
}

Test(plan_command, refused) {
  static const struct {
    const char *arguments[8], *message;
  } cases[] = {
      {{"plan"}, "plan: wants DECK or --paper; edgefuse plan --help explains it"},
      {{"plan", "--rounds", "2"}, "plan: --rounds goes with --paper"},
      {{"plan", "a.yaml", "--bytes", "2"}, "plan: --bytes goes with --paper"},
      {{"plan", "--paper", "a.yaml"}, "plan: one argument too many: a.yaml"},
      {{"plan", "--paper", "--set", "run.seed=2"},
       "plan: --paper has no deck: --out, --method, --ranks, --nodes and --set have no effect"},
      {{"plan", "--paper", "--method", "fedavg"},
       "plan: --paper has no deck: --out, --method, --ranks, --nodes and --set have no effect"},
      {{"plan", "a.yaml", "--method", "nosuch"},
       "--method nosuch: no such method; edgefuse knows: deepfusion, ofakd, fedavg, fedjets, fedkmt, "
       "central, public_only"},
      {{"plan", "a.yaml", "--ranks", "4", "--latency", "1e-6"},
       "plan: --latency wants --nodes of two or more"},
      {{"plan", "a.yaml", "--nodes", "2"}, "plan: --nodes 2 wants --ranks of as many or more"},
      {{"plan", "a.yaml", "--ranks", "3", "--nodes", "4"},
       "plan: --nodes 4 wants --ranks of as many or more"},
      {{"plan", "a.yaml", "--ranks", "0"}, "plan: --ranks 0: wants a whole number from 1 to 10000000"},
      {{"plan", "--paper", "--bytes", "0"}, "plan: --bytes 0: wants a number from 0.125 to 8"},
      {{"plan", "--paper", "--bytes", "nan"}, "plan: --bytes nan: wants a number from 0.125 to 8"},
      {{"plan", "--paper", "--rounds", "0"}, "plan: --rounds 0: wants a whole number from 1 to 1000000"},
      {{"plan", "--paper", "--experts-per-client", "61"},
       "plan: --experts-per-client 61: wants a whole number from 1 to 60"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    cr_expect_eq(run_command(NULL, 0, cases[i].arguments), EF_USAGE, "%zu", i);
    cr_expect_str_eq(ef_message(), cases[i].message, "\n got: %s\nwant: %s", ef_message(), cases[i].message);
  }
}

/* What is measured of the running process may differ; all else is the same plan. */
static void expect_same_plan(const char *deck, const char *method) {
  static char plan[4096], dry[4096];
  cr_assert_eq(RUN(plan, "plan", deck, "--json", "--method", method), EF_OK, "%s", ef_message());
  cr_assert_eq(RUN(dry, "train", deck, "--dry-run", "--json", "--method", method), EF_OK, "%s", ef_message());
  json_t *a = json_loads(plan, 0, NULL), *b = json_loads(dry, 0, NULL);
  cr_assert(a && b, "%s\n%s", plan, dry);
  static const char *const measured[] = {"peak_bytes",  "peak_phase", "peak_place",
                                         "start_bytes", "seconds",    "phases"};
  for (size_t i = 0; i < COUNT(measured); i++) {
    cr_expect_eq(json_object_del(a, measured[i]), 0);
    json_object_del(b, measured[i]);
  }
  cr_expect(json_equal(a, b), "%s: %s\n%s", method, plan, dry);
  json_decref(a);
  json_decref(b);
}

static const char *smoke_deck(void) {
  static char deck[PATH];
  const char *source = getenv("EDGEFUSE_SOURCE");
  if (!source) cr_skip_test("EDGEFUSE_SOURCE is not set");
  snprintf(deck, sizeof deck, "%s/inputs/smoke.yaml", source);
  return deck;
}

Test(plan_command, deck_as_a_dry_run, .timeout = 120) {
  expect_same_plan(smoke_deck(), "deepfusion");
  expect_same_plan(smoke_deck(), "fedavg");
}

/* Models go down in rounds alone, and central has no device; the default is deepfusion. */
Test(plan_command, method_is_planned, .timeout = 120) {
  static char out[4096];
  static const struct {
    const char *arguments[4];
    bool down, devices;
  } cases[] = {{{"--json"}, false, true},
               {{"--json", "--method", "fedavg"}, true, true},
               {{"--json", "--method", "central"}, false, false}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    const char *const *a = cases[i].arguments;
    const char *arguments[] = {"plan", smoke_deck(), a[0], a[1], a[2], NULL};
    cr_assert_eq(run_command(out, sizeof out, arguments), EF_OK, "%s", ef_message());
    json_t *plan = json_loads(out, 0, NULL);
    cr_assert(plan, "%s", out);
    cr_expect_eq(json_integer_value(json_object_get(plan, "download_bytes")) > 0, cases[i].down, "%s", out);
    cr_expect_eq(json_integer_value(json_object_get(plan, "device_bytes")) > 0, cases[i].devices, "%s", out);
    json_decref(plan);
  }
}
