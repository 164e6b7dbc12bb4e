#include "store/inspect.h"

#include "base/memory.h"
#include "sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[256], path[512], other[512];
static float weights[6];
static double series[4];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  snprintf(other, sizeof other, "%s/b.h5", folder);
  for (int i = 0; i < 6; i++) weights[i] = (float)(i + 1);
  for (int i = 0; i < 4; i++) series[i] = 0.25 * i;
}

static void down(void) { test_remove_folder(folder); }

TestSuite(inspect, .init = up, .fini = down);

static ef_h5_header header = {.kind = "tensors", .deck = "a: 1\nb: 2\nc: 3\n", .seed = 5, .ranks = 1};

/* /w, /g/s and, if wanted, /extra, from `weights` and `series` as they are. */
static void write_file(const char *file_path, bool extra, int64_t round) {
  ef_h5 *file = NULL;
  ef_h5_array w = {"/w", EF_H5_F32, 2, {2, 3}, "weights", "1", "rows,columns"};
  ef_h5_array s = {"/g/s", EF_H5_F64, 1, {4}, "series", "nat", "step"};
  ef_h5_array e = {"/extra", EF_H5_U8, 1, {4}, "more", "1", "i"};
  cr_assert_eq(ef_h5_create(file_path, MPI_COMM_NULL, &header, &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write(file, &w, weights), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write(file, &s, series), EF_OK, "%s", ef_message());
  if (extra) cr_assert_eq(ef_h5_write(file, &e, "abcd"), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_set_int(file, "/g", "round", round), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
}

/* Runs diff or inspect (b NULL) into memory; counted text. */
static char *run(const char *a, const char *b, bool json, ef_status expected) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  ef_status status = b ? ef_diff(a, b, json, out) : ef_inspect(a, true, json, out);
  fclose(out);
  cr_assert_eq(status, expected, "%s: %s", ef_status_name(status), ef_message());
  return text;
}

static void shows(const char *text, const char *part) {
  cr_assert(strstr(text, part), "no \"%s\" in:\n%s", part, text);
}

Test(inspect, statistics_in_json) {
  write_file(path, true, 1);
  char *text = run(path, NULL, true, EF_OK);
  json_t *report = json_loads(text, 0, NULL);
  cr_assert_not_null(report);
  cr_assert_str_eq(json_string_value(json_object_get(report, "deck")), header.deck);
  json_t *root = json_object_get(json_object_get(report, "attributes"), "/");
  cr_assert_eq(json_integer_value(json_object_get(root, "seed")), 5);
  json_t *rows = json_object_get(report, "datasets"), *row = json_array_get(rows, 2);
  cr_assert_eq(json_array_size(rows), 3);
  cr_assert_str_eq(json_string_value(json_object_get(row, "path")), "/w");
  cr_assert_eq(json_integer_value(json_object_get(row, "bytes")), 24);
  cr_assert_float_eq(json_real_value(json_object_get(row, "mean")), 3.5, 1e-15);
  cr_assert_float_eq(json_real_value(json_object_get(row, "std")), sqrt(35.0 / 12.0), 1e-15); /* 1..6 */
  cr_assert_eq(json_real_value(json_object_get(row, "min")), 1.0);
  cr_assert_eq(json_real_value(json_object_get(row, "max")), 6.0);
  json_decref(report);
  free(text);
}

Test(inspect, statistics_over_many_blocks) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  size_t n = SAMPLE_ROWS * SAMPLE_COLUMNS;
  long double sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) sum += (long double)sample_weight(i);
  for (size_t i = 0; i < n; i++) {
    long double d = (long double)sample_weight(i) - sum / (long double)n;
    squares += d * d;
  }
  char *text = run(path, NULL, true, EF_OK);
  json_t *report = json_loads(text, 0, NULL), *row = json_array_get(json_object_get(report, "datasets"), 4);
  cr_assert_str_eq(json_string_value(json_object_get(row, "path")), "/model/layers.0.weight");
  cr_assert_float_eq(json_real_value(json_object_get(row, "mean")), (double)(sum / (long double)n), 1e-13);
  cr_assert_float_eq(json_real_value(json_object_get(row, "std")), sqrt((double)(squares / (long double)n)),
                     1e-13);
  json_decref(report);
  free(text);
}

Test(inspect, text_names_everything) {
  weights[2] = NAN;
  write_file(path, false, 1);
  char *text = run(path, NULL, false, EF_OK);
  shows(text, "kind             tensors");
  shows(text, "  | b: 2\n");
  shows(text, "\n  g/\n    @round 1\n    s ");
  shows(text, " nat ");
  shows(text, "  series\n");
  shows(text, "[2, 3]");
  shows(text, "1 not finite");
  shows(text, "verified");
  free(text);
  free(run(other, NULL, false, EF_CHECKPOINT));
}

Test(inspect, equal_files) {
  weights[3] = NAN;
  write_file(path, true, 1);
  header.ranks = 3;
  write_file(other, true, 1);
  char *text = run(path, other, false, EF_OK);
  shows(text, "attribute ranks of /: 1 | 3  (no difference of the state)");
  shows(text, "equal; 3 datasets compared");
  free(text);
}

Test(inspect, one_bit_is_named) {
  write_file(path, false, 1);
  weights[4] = nextafterf(weights[4], 9.0f);
  series[1] = nextafter(nextafter(series[1], 0.0), 0.0);
  write_file(other, false, 1);
  char *text = run(path, other, true, EF_DIFFERS);
  json_t *report = json_loads(text, 0, NULL), *rows = json_object_get(report, "tensors");
  cr_assert_eq(json_array_size(rows), 2);
  json_t *s = json_array_get(rows, 0), *w = json_array_get(rows, 1);
  cr_assert_str_eq(json_string_value(json_object_get(w, "path")), "/w");
  cr_assert_eq(json_integer_value(json_object_get(w, "ulp")), 1);
  cr_assert_eq(json_integer_value(json_object_get(w, "index")), 4);
  cr_assert_eq(json_integer_value(json_object_get(w, "elements")), 1);
  cr_assert_eq(json_integer_value(json_object_get(s, "ulp")), 2);
  cr_assert(json_is_false(json_object_get(report, "equal")));
  json_decref(report);
  free(text);
}

Test(inspect, signs_zeros_and_nan) {
  weights[0] = 0.0f;
  weights[1] = 0x1p-149f;
  weights[5] = NAN;
  write_file(path, false, 1);
  weights[0] = -0.0f;
  weights[1] = -0x1p-149f;
  write_file(other, false, 1);
  char *text = run(path, other, false, EF_DIFFERS);
  shows(text, "/w: values, 1 of 6 elements, largest 2 ULP at element 1, [0, 1] (");
  free(text);
  weights[5] = 1.0f;
  write_file(other, false, 1);
  text = run(path, other, false, EF_DIFFERS);
  shows(text, "/w: values, 2 of 6 elements, NaN against a number at element 5, [1, 2] (");
  free(text);
}

Test(inspect, missing_tensors_decks_and_attributes) {
  write_file(path, true, 1);
  header.deck = "a: 1\nb: 22\nc: 3\n";
  write_file(other, false, 2);
  char *text = run(path, other, false, EF_DIFFERS);
  shows(text, "/extra: only in a");
  shows(text, "deck b: 2 -> 22\n");
  shows(text, "attribute round of /g: 1 | 2\n");
  cr_assert(!strstr(text, "c: 3"));
  free(text);
  text = run(other, path, false, EF_DIFFERS);
  shows(text, "/extra: only in b");
  free(text);
}
