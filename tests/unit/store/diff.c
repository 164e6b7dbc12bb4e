/* Differences by meaning: keys of the deck, lineage, random state, measured times, places and distances that
 * are made by hand. */
#include "store/inspect.h"

#include "support/support.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[256], path[512], other[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  snprintf(other, sizeof other, "%s/b.h5", folder);
}

static void down(void) { test_remove_folder(folder); }

TestSuite(diff, .init = up, .fini = down);

/* What a file of these tests holds. */
typedef struct content {
  const char *deck;
  uint64_t seed;
  int64_t cursor;
  float weights[2][2][3], shares[2][2];
  double seconds[2];
} content;

static content plain(void) {
  return (content){.deck = "run:\n  keep: 2\nfusion:\n  steps: 10\n",
                   .seed = 5,
                   .weights = {{{1, 2, 3}, {4, 5, 6}}, {{-1, -2, -3}, {-4, -5, -6}}},
                   .shares = {{0.25f, 0.75f}, {1, 0}},
                   .seconds = {0.5, 0.25}};
}

static void write_file(const char *name, const content *c) {
  const ef_h5_header header = {.kind = "run", .deck = c->deck, .seed = c->seed, .ranks = 1};
  ef_h5 *file = NULL;
  ef_h5_array w = {"/model/w", EF_H5_F32, 3, {2, 2, 3}, "weights", "1", "a,b,c"};
  ef_h5_array s = {"/lineage/expert_device", EF_H5_F32, 2, {2, 2}, "shares", "1", "expert,device"};
  cr_assert_eq(ef_h5_create(name, MPI_COMM_NULL, &header, &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write(file, &w, c->weights), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_set_int(file, "/model/w", "layer", 1), EF_OK);
  cr_assert_eq(ef_h5_set_int(file, "/model/w", "expert", 3), EF_OK);
  cr_assert_eq(ef_h5_write(file, &s, c->shares), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write_vector(file, "/seconds", EF_H5_F64, 2, "step", "times", "s", c->seconds), EF_OK);
  cr_assert_eq(ef_h5_set_int(file, "/seconds", EF_H5_MEASURED, 1), EF_OK);
  cr_assert_eq(ef_h5_set_int(file, "/", "cursor", c->cursor), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
}

/* diff of the plain content and another one; freed by the caller. */
static char *run(const content *c, bool json, ef_status wanted) {
  const content first = plain();
  char *text = NULL;
  size_t size = 0;
  write_file(path, &first);
  write_file(other, c);
  FILE *out = open_memstream(&text, &size);
  ef_status status = ef_diff(path, other, json, out);
  fclose(out);
  cr_assert_eq(status, wanted, "%s: %s", ef_status_name(status), ef_message());
  return text;
}

static json_t *report_of(const content *c, ef_status wanted) {
  char *text = run(c, true, wanted);
  json_t *report = json_loads(text, 0, NULL);
  cr_assert_not_null(report);
  free(text);
  return report;
}

static void shows(const char *text, const char *part) {
  cr_expect(strstr(text, part), "no \"%s\" in:\n%s", part, text);
}

/* Element (1,0,2) by three representable numbers, element (0,1,1) by one. */
Test(diff, place_and_distance) {
  content c = plain();
  for (int i = 0; i < 3; i++) c.weights[1][0][2] = nextafterf(c.weights[1][0][2], 0.0f);
  c.weights[0][1][1] = nextafterf(c.weights[0][1][1], 9.0f);
  json_t *report = report_of(&c, EF_DIFFERS), *row = json_array_get(json_object_get(report, "tensors"), 0);
  long long place[3] = {0}, layer = 0, expert = 0, ulp = 0, elements = 0, of = 0;
  cr_assert_eq(json_unpack(row, "{s:[I,I,I], s:I, s:I, s:I, s:I, s:I}", "place", &place[0], &place[1],
                           &place[2], "layer", &layer, "expert", &expert, "ulp", &ulp, "elements", &elements,
                           "of", &of),
               0);
  cr_expect(place[0] == 1 && place[1] == 0 && place[2] == 2);
  cr_expect(ulp == 3 && elements == 2 && of == 12 && layer == 1 && expert == 3);
  cr_expect(json_is_true(json_object_get(row, "counts")));
  json_decref(report);
  char *text = run(&c, false, EF_DIFFERS);
  shows(text, "/model/w (layer 1, expert 3): values, 2 of 12 elements, largest 3 ULP at element 8, [1, 0, 2] "
              "(-3.0 | ");
  free(text);
}

Test(diff, keys_of_the_deck) {
  content c = plain();
  c.deck =
      "run:\n  keep: 3\nfusion:\n  steps: 20\n  families:\n    - {family: gpt2, width: 32}\n    - [a, b]\n";
  char *text = run(&c, false, EF_DIFFERS);
  shows(text, "deck run.keep: 2 -> 3  (steers the run, no difference of the state)\n");
  shows(text, "deck fusion.steps: 10 -> 20\n");
  shows(text, "deck fusion.families[0].family: null -> gpt2\n");
  shows(text, "deck fusion.families[0].width: null -> 32\n");
  shows(text, "deck fusion.families[1]: null -> [a, b]\n");
  shows(text,
        "(deck: 4 keys; attributes: 0; random state: equal; lineage: 0 experts; groups and datasets: 0)");
  free(text);
}

Test(diff, a_key_that_steers_is_no_difference) {
  content c = plain();
  c.deck = "run:\n  keep: 3\nfusion:\n  steps: 10\n";
  json_t *report = report_of(&c, EF_OK);
  cr_expect_eq(json_array_size(json_object_get(report, "keys")), 1);
  cr_expect(json_is_true(json_object_get(report, "equal")));
  json_decref(report);
  c.deck = "run:\n  keep: 2\nfusion:\n  keep: 3\n  steps: 10\n";
  json_decref(report_of(&c, EF_DIFFERS)); /* only the key of that section steers */
}

Test(diff, lines_that_are_no_keys) {
  content c = plain();
  c.deck = "run:\n  keep: 2\nfusion:\n  steps: 10\njust words\n";
  char *text = run(&c, false, EF_DIFFERS);
  shows(text, "deck line 5: null -> just words\n");
  free(text);
}

Test(diff, lineage_by_expert_and_device) {
  content c = plain();
  c.shares[1][0] = 0.5f;
  c.shares[1][1] = 0.5f;
  json_t *report = report_of(&c, EF_DIFFERS), *lineage = json_object_get(report, "lineage");
  cr_expect(json_is_false(json_object_get(lineage, "equal")));
  cr_expect_eq(json_integer_value(json_object_get(lineage, "experts")), 1);
  json_t *changes = json_object_get(lineage, "changes"), *change = json_array_get(changes, 1);
  cr_expect_eq(json_array_size(changes), 2);
  cr_expect(json_integer_value(json_object_get(change, "expert")) == 1 &&
            json_integer_value(json_object_get(change, "device")) == 1);
  cr_expect(json_real_value(json_object_get(change, "a")) == 0.0 &&
            json_real_value(json_object_get(change, "b")) == 0.5);
  json_decref(report);
  char *text = run(&c, false, EF_DIFFERS);
  shows(text, "lineage of expert 1, share of device 0: 1.0 -> 0.5\n");
  free(text);
}

Test(diff, random_state_is_seed_and_place) {
  content c = plain();
  json_t *report = report_of(&c, EF_OK), *random = json_object_get(report, "random");
  cr_expect(json_is_true(json_object_get(random, "equal")));
  json_decref(report);
  c.cursor = 9;
  report = report_of(&c, EF_DIFFERS);
  random = json_object_get(report, "random");
  cr_expect(json_is_false(json_object_get(random, "equal")));
  cr_expect_eq(json_integer_value(json_object_get(json_object_get(random, "b"), "cursor")), 9);
  json_decref(report);
  c = plain();
  c.seed = 6;
  char *text = run(&c, false, EF_DIFFERS);
  shows(text, "attribute seed of /: 5 | 6\n");
  shows(text, "random state: another");
  free(text);
}

Test(diff, measured_times_are_told_apart) {
  content c = plain();
  c.seconds[1] = 0.125;
  char *text = run(&c, false, EF_OK);
  shows(text, "/seconds: values, 1 of 2 elements");
  shows(text, "(measured time, no difference of the results)\n");
  shows(text, "equal; 3 datasets compared, 1 of them measured times that differ\n");
  free(text);
}
