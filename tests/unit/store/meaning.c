/* Expert load, lineage, ledger and plot of a file: sums and shares by hand. */
#include "store/inspect.h"

#include "support/json_path.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[256], path[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
}

static void down(void) { test_remove_folder(folder); }

TestSuite(meaning, .init = up, .fini = down);

/* Two layers of four experts, the second without tokens. */
static const int64_t load[2][4] = {{10, 0, 20, 10}, {0, 0, 0, 0}};
/* Experts 0 and 1 are of devices 2 and 0, expert 2 of none, expert 3 of device 1. */
static const float shares[4][3] = {{0.25f, 0, 0.75f}, {0.25f, 0, 0.75f}, {0, 0, 0}, {0, 1, 0}};
static const int64_t sent[3][2] = {{100, 1}, {200, 2}, {400, 4}}, got[3][2] = {{0, 7}, {0, 0}, {5, 0}};

static void put(ef_h5 *file, const char *name, ef_h5_type type, size_t rows, size_t columns, const char *dims,
                const void *data) {
  ef_h5_array array = {name, type, 2, {rows, columns}, "what it is", "1", dims};
  cr_assert_eq(ef_h5_write(file, &array, data), EF_OK, "%s", ef_message());
}

static ef_h5 *create(void) {
  const ef_h5_header header = {.kind = "run", .deck = "a: 1\n", .seed = 7, .ranks = 2};
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &header, &file), EF_OK, "%s", ef_message());
  return file;
}

static void write_file(void) {
  ef_h5 *file = create();
  put(file, "/results/expert_load", EF_H5_I64, 2, 4, "layer,expert", load);
  put(file, "/lineage/expert_device", EF_H5_F32, 4, 3, "expert,device", shares);
  put(file, "/ledger/up_bytes", EF_H5_I64, 3, 2, "device,class", sent);
  put(file, "/ledger/down_bytes", EF_H5_I64, 3, 2, "device,class", got);
  cr_assert_eq(ef_h5_set_text(file, "/ledger", "classes", "weights,text"), EF_OK);
  cr_assert_eq(ef_h5_set_nxdata(file, "/results", "expert_load", "layer,expert", "load"), EF_OK);
  cr_assert_eq(ef_h5_set_default(file, "/entry", "/results"), EF_OK);
  cr_assert_eq(ef_h5_set_text(file, "/", "identity", "abc"), EF_OK);
  cr_assert_eq(ef_h5_set_text(file, "/", "random", "counted"), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
}

/* inspect's output; freed by the caller. */
static char *inspect(bool json) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  cr_assert_eq(ef_inspect(path, false, json, out), EF_OK, "%s", ef_message());
  fclose(out);
  return text;
}

static json_t *report_of(void) {
  char *text = inspect(true);
  json_t *report = json_loads(text, 0, NULL);
  cr_assert_not_null(report);
  free(text);
  return report;
}

static void is(json_t *report, const char *keys, double wanted) {
  double found = json_number_value(test_json_at(report, keys));
  cr_expect(json_is_number(test_json_at(report, keys)) && found == wanted, "%s: %g, not %g", keys, found,
            wanted);
}

Test(meaning, load_of_the_experts) {
  write_file();
  json_t *report = report_of();
  is(report, "expert_load.layers.0.tokens", 40);
  is(report, "expert_load.layers.0.shares.2", 0.5);
  is(report, "expert_load.layers.0.shares.3", 0.25);
  is(report, "expert_load.layers.0.imbalance", 2); /* 20 of 40 tokens, 4 experts */
  is(report, "expert_load.layers.0.busiest", 2);
  is(report, "expert_load.layers.0.idle", 1);
  is(report, "expert_load.layers.1.idle", 4);
  cr_expect(json_is_null(test_json_at(report, "expert_load.layers.1.imbalance")));
  json_decref(report);
}

Test(meaning, lineage_in_groups) {
  write_file();
  json_t *report = report_of();
  cr_expect_eq(json_array_size(test_json_at(report, "lineage.groups")), 3);
  cr_expect_eq(json_array_size(test_json_at(report, "lineage.groups.0.experts")), 2);
  is(report, "lineage.groups.0.devices.0.device", 2);
  is(report, "lineage.groups.0.devices.0.share", 0.75);
  is(report, "lineage.groups.0.devices.1.device", 0);
  is(report, "lineage.groups.0.sum", 1);
  cr_expect_eq(json_array_size(test_json_at(report, "lineage.groups.1.devices")), 0);
  is(report, "lineage.groups.1.sum", 0);
  is(report, "lineage.groups.2.experts.0", 3);
  is(report, "lineage.groups.2.devices.0.device", 1);
  json_decref(report);
}

Test(meaning, ledger_by_class_and_device) {
  write_file();
  json_t *report = report_of();
  cr_expect_str_eq(json_string_value(test_json_at(report, "ledger.classes.1.class")), "text");
  is(report, "ledger.classes.0.up_bytes", 700);
  is(report, "ledger.classes.1.up_bytes", 7);
  is(report, "ledger.classes.0.down_bytes", 5);
  is(report, "ledger.devices.2.up_bytes", 404);
  is(report, "ledger.up_bytes", 707);
  is(report, "ledger.down_bytes", 12);
  json_decref(report);
}

Test(meaning, identity_plot_and_descriptions) {
  write_file();
  json_t *report = report_of();
  cr_expect_str_eq(json_string_value(test_json_at(report, "identity.deck_hash")), "abc");
  cr_expect_str_eq(json_string_value(test_json_at(report, "identity.random")), "counted");
  cr_expect_str_eq(json_string_value(test_json_at(report, "identity.kind")), "run");
  is(report, "identity.seed", 7);
  cr_expect(json_is_null(test_json_at(report, "identity.phase")));
  cr_expect_str_eq(json_string_value(test_json_at(report, "plot")), "/results/expert_load");
  cr_expect_str_eq(json_string_value(test_json_at(report, "datasets.0.dims")), "device,class");
  cr_expect_str_eq(json_string_value(test_json_at(report, "datasets.0.units")), "1");
  cr_expect_str_eq(json_string_value(test_json_at(report, "datasets.0.description")), "what it is");
  cr_expect_str_eq(json_string_value(json_object_get(test_json_at(report, "texts"), "/results/title")),
                   "load");
  json_decref(report);
}

static void shows(const char *text, const char *part) {
  cr_expect(strstr(text, part), "no \"%s\" in:\n%s", part, text);
}

Test(meaning, sections_for_people) {
  write_file();
  char *text = inspect(false);
  shows(text, "deck_hash        abc\n");
  shows(text, "plot             /results/expert_load\n");
  shows(text, "results/  NXdata: expert_load by layer,expert\n");
  shows(text, "  25.0   0.0  50.0  25.0\n");
  shows(text, "not measured yet");
  shows(text, "experts 0 to 1       device 2 75.0 %, device 0 25.0 %; in all 100.0 %\n");
  shows(text, "expert 2             no device\n");
  shows(text, "  weights                   700                5\n");
  shows(text, "  all                       707               12\n");
  free(text);
}

Test(meaning, a_file_without_them) {
  ef_h5 *file = create();
  put(file, "/w", EF_H5_F32, 4, 3, "a,b", shares);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
  json_t *report = report_of();
  static const char *const keys[] = {"plot", "expert_load", "lineage", "ledger"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    cr_expect(json_is_null(test_json_at(report, keys[i])), "%s", keys[i]);
  json_decref(report);
  char *text = inspect(false);
  cr_expect(!strstr(text, "lineage") && !strstr(text, "ledger") && !strstr(text, "expert load"));
  free(text);
}
