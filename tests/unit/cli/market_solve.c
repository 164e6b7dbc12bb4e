/* `edgefuse market solve`: the example of the README by hand, options, and profiles of another checkpoint. */
#include "test_cli.h"

#include "base/file.h"
#include "train/model_hash.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(market_solve, .init = set_up, .fini = tear_down);

static const char *small(void) {
  static char path[PATH];
  const char *source = getenv("EDGEFUSE_SOURCE");
  if (!source) cr_skip_test("EDGEFUSE_SOURCE is not set");
  snprintf(path, sizeof path, "%s/inputs/markets/small.json", source);
  return path;
}

static json_t *outcome_of(const char *const *arguments) {
  static char out[1 << 16];
  cr_assert_eq(run_command(out, sizeof out, arguments), EF_OK, "%s", ef_message());
  json_t *json = json_loads(out, 0, NULL);
  cr_assert_not_null(json, "%s", out);
  return json;
}
#define SOLVE(...) outcome_of((const char *const[]){"market", "solve", __VA_ARGS__, NULL})

static double number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  cr_assert(json_is_number(value), "%s", key);
  return json_number_value(value);
}

/* User, units, status; unit price of the winners. dan, ann and bob keep 27 units; hal's net density 3/7 - 0.1
 * is the floor. */
typedef struct expectation {
  const char *id, *status;
  int units;
  double price;
} expectation;

static void expect_users(const json_t *outcome, const expectation *expected) {
  const json_t *users = json_object_get(outcome, "users");
  cr_assert_eq(json_array_size(users), 8u);
  for (size_t i = 0; i < 8; i++) {
    const expectation *e = &expected[i];
    const json_t *user = json_array_get(users, i);
    cr_expect_str_eq(json_string_value(json_object_get(user, "id")), e->id);
    cr_expect_str_eq(json_string_value(json_object_get(user, "status")), e->status, "%s", e->id);
    cr_expect_eq(json_integer_value(json_object_get(user, "demand")), e->units, "%s", e->id);
    cr_expect_float_eq(number(user, "unit_price"), e->price, 1e-12, "%s", e->id);
    cr_expect_float_eq(number(user, "payment"), e->price * e->units, 1e-11, "%s", e->id);
  }
}

static const json_t *market_of(const json_t *outcome) {
  return json_array_get(json_object_get(outcome, "markets"), 0);
}

/* The others of each winner could pay 16.4, 16.4 and 19.8 (F2): 2^3.5 is the point of the grid below all. */
Test(market_solve, the_example_by_hand) {
  double p = 0.1 + pow(2, 3.5) / 27;
  const expectation expected[] = {{"ann", "win", 10, p},       {"bob", "win", 8, p},
                                  {"cleo", "self", 0, 0},      {"dan", "win", 9, p},
                                  {"eve", "infeasible", 0, 0}, {"finn", "toobig", 36, 0},
                                  {"gus", "reserve", 5, 0},    {"hal", "pruned", 7, 0}};
  cr_assert_float_eq(p, 0.5190, 5e-5, "the README's figure");
  json_t *outcome = SOLVE(small());
  expect_users(outcome, expected);
  cr_expect_str_eq(json_string_value(json_object_get(outcome, "variant")), "T");
  cr_expect_eq(number(json_object_get(outcome, "coin"), "u"), 0.5);
  cr_expect_eq(number(json_object_get(outcome, "coin"), "v"), 0.5);
  cr_expect_float_eq(number(outcome, "revenue"), 27 * p, 1e-11);
  cr_expect_float_eq(number(outcome, "infrastructure_income"), 2.7, 1e-12);
  cr_expect_float_eq(number(market_of(outcome), "F2"), (9.0 / 8 - 0.1) * 27, 1e-11);
  cr_expect_float_eq(number(market_of(outcome), "floor"), 3.0 / 7 - 0.1, 1e-14);
  cr_expect(json_is_true(json_object_get(market_of(outcome), "consensus")));
  cr_expect_null(json_object_get(market_of(outcome), "expected"));
  json_decref(outcome);
}

/* Under the coin 0.2 the grid has 2^4.2 = 18.4 between the estimates: bob pays twice what the others pay. */
Test(market_solve, another_coin_by_hand) {
  double p = 0.1 + pow(2, 3.2) / 27, q = 0.1 + pow(2, 4.2) / 27;
  const expectation expected[] = {{"ann", "win", 10, p},       {"bob", "win", 8, q},
                                  {"cleo", "self", 0, 0},      {"dan", "win", 9, p},
                                  {"eve", "infeasible", 0, 0}, {"finn", "toobig", 36, 0},
                                  {"gus", "reserve", 5, 0},    {"hal", "pruned", 7, 0}};
  json_t *outcome = SOLVE(small(), "--coin=0.2", "--coin-v=0.25");
  expect_users(outcome, expected);
  cr_expect_eq(number(json_object_get(outcome, "coin"), "u"), 0.2);
  cr_expect_eq(number(json_object_get(outcome, "coin"), "v"), 0.25);
  cr_expect(json_is_false(json_object_get(market_of(outcome), "consensus")));
  json_decref(outcome);
}

/* One estimate for all, of F2 = 27.675: 2^4.2 under the coin 0.2. */
Test(market_solve, another_variant_by_hand) {
  double p = 0.1 + pow(2, 4.2) / 27;
  const expectation expected[] = {{"ann", "win", 10, p},       {"bob", "win", 8, p},
                                  {"cleo", "self", 0, 0},      {"dan", "win", 9, p},
                                  {"eve", "infeasible", 0, 0}, {"finn", "toobig", 36, 0},
                                  {"gus", "reserve", 5, 0},    {"hal", "pruned", 7, 0}};
  json_t *outcome = SOLVE(small(), "--coin=0.2", "--variant=E");
  expect_users(outcome, expected);
  cr_expect_str_eq(json_string_value(json_object_get(outcome, "variant")), "E");
  json_decref(outcome);
}

/* Estimates are log-uniform in (V/2, V]; below 27 times the floor the floor is paid. */
Test(market_solve, expectation_over_the_coin_by_hand) {
  double floor = 3.0 / 7 - 0.1, from = 27 * floor;
  double two = floor * log(from / 8.2) + (16.4 - from) / 27, one = (19.8 - 9.9) / 27;
  double profit = (19 * two + 8 * one) / log(2);
  json_t *outcome = SOLVE(small(), "--expect");
  cr_expect_float_eq(profit, 12.584, 5e-4, "the README's figure");
  cr_expect_float_eq(number(json_object_get(market_of(outcome), "expected"), "profit"), profit, 1e-9);
  json_decref(outcome);
}

Test(market_solve, the_outcome_in_a_file) {
  static char out[1 << 16];
  const char *path = in(folder, "outcome.json");
  cr_assert_eq(RUN(out, "market", "solve", small(), "--out", path), EF_OK, "%s", ef_message());
  cr_expect_str_eq(out, "");
  json_t *written = json_load_file(path, 0, NULL), *printed = SOLVE(small());
  cr_assert_not_null(written);
  json_object_del(written, "seconds");
  json_object_del(printed, "seconds");
  cr_expect(json_equal(written, printed));
  json_decref(written);
  json_decref(printed);
}

Test(market_solve, mistakes) {
  static const struct {
    const char *option, *message;
  } cases[] = {{"--coin=1", "--coin 1: wants a number from 0 to 1"},
               {"--coin=-0.5", "--coin -0.5: wants a number from 0 to 1"},
               {"--coin=nan", "--coin nan: wants a number"},
               {"--coin-v=1.5", "--coin-v 1.5: wants a number"},
               {"--variant=X", "--variant X: is not one of T|E|D"},
               {"--variant=TE", "--variant TE: is not one of T|E|D"},
               {"--seed=-1", "--seed -1: wants a whole number"}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    cr_expect_eq(RUN_QUIET("market", "solve", small(), cases[i].option, "--out", in(folder, "never.json")),
                 EF_USAGE, "%s", cases[i].option);
    cr_expect_not_null(strstr(ef_message(), cases[i].message), "%s", ef_message());
  }
  cr_expect_eq(RUN_QUIET("market", "solve", "none.json", "--out", in(folder, "never.json")), EF_INPUT);
  cr_expect_not(ef_file_exists(in(folder, "never.json")));
  cr_expect_eq(RUN_QUIET("market", "solve", small(), "--out", in(folder, "no/folder.json")), EF_MACHINE);
}

/* ---- profiles and checkpoints ---------------------------------------------------------------------------
 */

/* The example with a second workload that nobody asks for; the workloads' checkpoints, NULL: none. */
static const char *with_checkpoints(const char *first, const char *second) {
  const char *path = in(folder, "instance.json");
  json_t *instance = json_load_file(small(), 0, NULL);
  cr_assert_not_null(instance);
  json_t *workloads = json_object_get(instance, "workloads"), *a = json_array_get(workloads, 0);
  json_t *b = json_deep_copy(a);
  json_object_set_new(b, "name", json_string("other"));
  if (first) json_object_set_new(a, "checkpoint", json_string(first));
  if (second) json_object_set_new(b, "checkpoint", json_string(second));
  json_array_append_new(workloads, b);
  cr_assert_eq(json_dump_file(instance, path, 0), 0);
  json_decref(instance);
  return path;
}

static const char *a_model(const char *name, uint64_t seed, char hash[EF_MODEL_HASH_BYTES]) {
  ef_shape shape = {.V = 40, .D = 16, .L = 2, .H = 2, .G = 2, .F = 24, .max_positions = 64};
  ef_dims dims;
  const char *path = in(folder, name);
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  write_model(path, &dims, seed, NULL);
  cr_assert_eq(ef_model_path_hash(path, hash), EF_OK, "%s", ef_message());
  return path;
}

Test(market_solve, a_profile_of_this_checkpoint) {
  char hash[EF_MODEL_HASH_BYTES];
  const char *model = a_model("m.h5", 1, hash);
  json_t *outcome = SOLVE(with_checkpoints(hash, NULL), "--checkpoint", model);
  cr_expect_float_eq(number(outcome, "revenue"), 2.7 + pow(2, 3.5), 1e-11);
  json_decref(outcome);
  json_decref(SOLVE(with_checkpoints(hash, hash), "--checkpoint", model));
}

Test(market_solve, a_profile_of_another_checkpoint_is_refused) {
  char hash[EF_MODEL_HASH_BYTES], foreign[EF_MODEL_HASH_BYTES];
  a_model("other.h5", 2, foreign);
  const char *model = a_model("m.h5", 1, hash), *never = in(folder, "never.json");
  cr_assert_str_neq(hash, foreign);
  const char *instance = with_checkpoints(hash, foreign);
  cr_assert_eq(RUN_QUIET("market", "solve", instance, "--checkpoint", model, "--out", never), EF_CHECKPOINT);
  const char *const words[] = {instance, "workload other",   foreign,           model,
                               hash,     "edgefuse profile", "--any-checkpoint"};
  for (size_t i = 0; i < COUNT(words); i++) {
    cr_expect_not_null(strstr(ef_message(), words[i]), "%s: %s", words[i], ef_message());
  }
  cr_assert_eq(ef_status_exit_code(EF_CHECKPOINT), 5);
  cr_expect_not(ef_file_exists(never));
  json_decref(SOLVE(instance, "--checkpoint", model, "--any-checkpoint"));
  json_decref(SOLVE(instance, "--any-checkpoint"));
  json_decref(SOLVE(instance));
}

Test(market_solve, an_instance_without_a_profile_is_refused) {
  char hash[EF_MODEL_HASH_BYTES];
  const char *model = a_model("m.h5", 1, hash);
  cr_assert_eq(RUN_QUIET("market", "solve", small(), "--checkpoint", model), EF_CHECKPOINT);
  cr_expect(strstr(ef_message(), "small.json: no workload") && strstr(ef_message(), hash), "%s",
            ef_message());
  json_decref(SOLVE(small(), "--checkpoint", model, "--any-checkpoint"));
}

Test(market_solve, a_checkpoint_that_is_none) {
  cr_assert_eq(RUN_QUIET("market", "solve", small(), "--checkpoint", "nowhere.h5"), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), "nowhere.h5"), "%s", ef_message());
  cr_assert_eq(RUN_QUIET("market", "solve", small(), "--checkpoint", small()), EF_CHECKPOINT);
}
