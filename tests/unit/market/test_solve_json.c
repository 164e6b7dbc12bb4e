/* The outcome's text: read by another parser, value by value. */
#include "base/memory.h"
#include "test_solve_sample.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

static json_t *parsed(const solve_sample *s, const ef_market_outcome *outcome) {
  char *text;
  cr_assert_eq(ef_market_outcome_json(&s->instance, outcome, &text), EF_OK, "%s", ef_message());
  json_error_t error;
  json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  cr_assert_not_null(json, "%s in %s", error.text, text);
  ef_free(text);
  return json;
}

static const json_t *at(const json_t *json, const char *array, size_t i) {
  return json_array_get(json_object_get(json, array), i);
}

static void number(const json_t *json, const char *name, double value) {
  const json_t *field = json_object_get(json, name);
  cr_assert(json_is_number(field), "%s", name);
  cr_assert_eq(json_number_value(field), value, "%s is %.17g, not %.17g", name, json_number_value(field),
               value);
}

static void text(const json_t *json, const char *name, const char *value) {
  cr_assert_str_eq(json_string_value(json_object_get(json, name)), value);
}

static void null(const json_t *json, const char *name) {
  cr_assert(json_is_null(json_object_get(json, name)), "%s", name);
}

static char odd_name[] = "a\"b\\c\n\t\x01 \xc3\xa9 \xf0\x9f\x98\x80 /";

static void mixed(solve_sample *s) {
  static const double bids[] = {8, 6, 5, 3, 1};
  solve_open(s, 4);
  solve_bids(s, bids, 5);
  s->users[0].id = odd_name;
  s->users[solve_user(s, 0, 1, 1)].accuracy = 2;
  s->users[solve_user(s, 0, 1, 1)].device_flops = 3e9;
  s->instance.rules.u = 1.0 / 3;
  s->instance.rules.unit_cost = 0.1;
}

static void check_user(const json_t *json, const ef_user_outcome *user) {
  text(json, "status", ef_user_status_name(user->status));
  number(json, "unit_price", user->unit_price);
  number(json, "payment", user->payment);
  null(json, "policy");
  if (user->status == EF_USER_INFEASIBLE) {
    const char *const names[] = {"exit", "partition", "device_s", "network_s", "edge_s", "accuracy"};
    number(json, "demand", 0);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) null(json, names[n]);
    return;
  }
  number(json, "demand", (double)user->demand.units);
  number(json, "exit", (double)user->demand.choice);
  number(json, "partition", (double)user->demand.partition);
  number(json, "device_s", user->demand.device_s);
  number(json, "network_s", user->demand.network_s);
  number(json, "edge_s", user->demand.edge_s);
  number(json, "accuracy", user->demand.accuracy);
}

static void check_market(const json_t *json, const ef_market_summary *m) {
  text(json, "market", m->name);
  number(json, "capacity", (double)m->capacity);
  number(json, "users", (double)m->users);
  number(json, "kept", (double)m->kept);
  number(json, "floor", m->floor);
  number(json, "F", m->f);
  number(json, "F2", m->f2);
  number(json, "winners", (double)m->sale.winners);
  number(json, "used", (double)m->sale.used);
  number(json, "revenue", m->sale.revenue);
  number(json, "profit", m->sale.profit);
  cr_assert_eq(json_is_true(json_object_get(json, "consensus")), m->consensus);
  cr_assert_eq(json_is_true(json_object_get(json, "vickrey")), m->vickrey);
  cr_assert_eq(json_array_size(json_object_get(json, "estimates")), m->estimate_count);
  for (size_t e = 0; e < m->estimate_count; e++) {
    const json_t *pair = at(json, "estimates", e);
    cr_assert_eq(json_array_size(pair), 2);
    cr_assert_eq(json_number_value(json_array_get(pair, 0)), m->estimates[e].value);
    cr_assert_eq((size_t)json_integer_value(json_array_get(pair, 1)), m->estimates[e].count);
  }
}

/* Every number comes back to its bits, every name to its bytes. */
Test(solve_json, every_field) {
  solve_sample s;
  mixed(&s);
  ef_market_outcome o = solve_run(&s);
  json_t *json = parsed(&s, &o);
  text(json, "schema", "aeria-outcome/1");
  text(json, "variant", "T");
  text(json, "mode", "per_provider");
  number(json, "c", 2);
  number(json, "seconds", o.seconds);
  number(json_object_get(json, "coin"), "u", 1.0 / 3);
  number(json_object_get(json, "coin"), "v", 0);
  number(json, "revenue", o.revenue);
  number(json, "profit", o.profit);
  number(json, "infrastructure_income", o.infrastructure_income);
  cr_assert_eq(json_array_size(json_object_get(json, "markets")), 1);
  check_market(at(json, "markets", 0), &o.markets[0]);
  cr_assert_null(json_object_get(at(json, "markets", 0), "expected"));
  cr_assert_eq(json_array_size(json_object_get(json, "users")), 7);
  for (size_t i = 0; i < 7; i++) check_user(at(json, "users", i), &o.users[i]);
  text(at(json, "users", 0), "id", odd_name);
  null(at(json, "users", 1), "id");
  text(at(json, "users", 5), "status", "infeasible");
  text(at(json, "users", 6), "status", "self");
  number(at(json, "users", 6), "demand", 0);
  json_decref(json);
  ef_market_outcome_free(&o);
}

Test(solve_json, expectation_policies_and_pool) {
  solve_sample s;
  mixed(&s);
  double leave[] = {1};
  ef_policy policy = {.threshold = 0.5, .accuracy = 0.9, .leave = leave};
  s.workload.policies = &policy;
  s.workload.policy_count = 1;
  s.instance.rules.pooled = true;
  s.instance.rules.variant = EF_VARIANT_E;
  ef_market_outcome o;
  cr_assert_eq(ef_market_solve(&s.instance, &(ef_solving){.expect = true}, &o), EF_OK);
  json_t *json = parsed(&s, &o);
  text(json, "variant", "E");
  text(json, "mode", "pooled");
  const json_t *expected = json_object_get(at(json, "markets", 0), "expected");
  const ef_expectation *e = &o.markets[0].expected;
  number(expected, "profit", e->profit);
  number(expected, "revenue", e->revenue);
  number(expected, "winners", e->winners);
  number(expected, "used", e->used);
  number(expected, "consensus", e->consensus);
  number(expected, "bound", e->bound);
  number(expected, "pieces", (double)e->pieces);
  number(at(json, "users", 0), "policy", 0);
  null(at(json, "users", 0), "exit");
  null(at(json, "users", 5), "policy");
  json_decref(json);
  ef_market_outcome_free(&o);
}

/* What overflows a double is null, a demand without bound is the largest integer. */
Test(solve_json, numbers_that_json_does_not_know) {
  solve_sample s;
  mixed(&s);
  s.users[0].complexity = 1e25;
  ef_market_outcome o = solve_run(&s);
  o.markets[0].f = INFINITY;
  o.markets[0].f2 = NAN;
  json_t *json = parsed(&s, &o);
  null(at(json, "markets", 0), "F");
  null(at(json, "markets", 0), "F2");
  cr_assert_eq(json_integer_value(json_object_get(at(json, "users", 0), "demand")), INT64_MAX);
  text(at(json, "users", 0), "status", "toobig");
  json_decref(json);
  ef_market_outcome_free(&o);
}

Test(solve_json, a_name_that_is_no_text_is_refused) {
  static char broken[] = "\xff\xfe";
  solve_sample s;
  mixed(&s);
  ef_market_outcome o = solve_run(&s);
  s.users[2].id = broken;
  size_t blocks = ef_memory_blocks();
  char *json;
  cr_assert_eq(ef_market_outcome_json(&s.instance, &o, &json), EF_INPUT);
  cr_assert_null(json);
  cr_assert_eq(ef_memory_blocks(), blocks);
  ef_market_outcome_free(&o);
}

Test(solve_json, nobody) {
  solve_sample s;
  solve_open(&s, 0);
  ef_market_outcome o = solve_run(&s);
  json_t *json = parsed(&s, &o);
  cr_assert_eq(json_array_size(json_object_get(json, "users")), 0);
  cr_assert_eq(json_array_size(json_object_get(at(json, "markets", 0), "estimates")), 0);
  json_decref(json);
  ef_market_outcome_free(&o);
}
