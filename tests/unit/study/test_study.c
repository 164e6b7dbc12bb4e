/* A small study: its file says what the study holds, equal studies give equal files, and each workload and
 * trace is what the deck names. */
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/h5.h"
#include "study/file.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 512 };

static const char yaml[] = "run: {seed: 5}\n"
                           "market:\n"
                           "  workloads: [alexnet]\n"
                           "  mechanisms: [posted, aeria-t, dot]\n"
                           "  slots: 3\n"
                           "  training_slots: 2\n"
                           "  users_least: 6\n"
                           "  users_most: 9\n"
                           "  capacity_flops: 2e11\n"
                           "  sweeps: [c]\n"
                           "  sweep_slots: 2\n";

static void read_deck(const char *const *overrides, ef_deck *deck) {
  size_t count = 0;
  ef_log_setup(EF_LOG_QUIET, true);
  while (overrides && overrides[count]) count++;
  cr_assert_eq(ef_deck_parse("deck.yaml", yaml, overrides, count, deck), EF_OK, "%s", ef_message());
}

static void run_study(const char *const *overrides, ef_deck *deck, ef_study *study) {
  read_deck(overrides, deck);
  cr_assert_eq(ef_study_run(deck, study), EF_OK, "%s", ef_message());
}

static void write_study(const ef_study *study, const char *path) {
  cr_assert_eq(ef_market_file_write(study, path, 1), EF_OK, "%s", ef_message());
}

static void expect_text(ef_h5 *file, const char *object, const char *name, const char *wanted) {
  char *text = NULL;
  cr_assert_eq(ef_h5_get_text(file, object, name, &text), EF_OK, "%s", ef_message());
  cr_expect_str_eq(text, wanted);
  ef_free(text);
}

static void expect_values(ef_h5 *file, const char *path, size_t rows, size_t columns, const double *wanted) {
  double found[64] = {0};
  ef_h5_array array = {.path = path, .type = EF_H5_F64, .rank = columns ? 2 : 1, .shape = {rows, columns}};
  size_t n = columns ? rows * columns : rows;
  cr_assert_leq(n, 64u);
  cr_assert_eq(ef_h5_read(file, &array, found), EF_OK, "%s", ef_message());
  cr_expect_eq(memcmp(found, wanted, n * sizeof *found), 0, "%s", path);
}

Test(market_study, file_holds_the_study) {
  char folder[256], path[PATH];
  ef_deck deck;
  ef_study study;
  ef_h5 *file;
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/market.h5", folder);
  run_study(NULL, &deck, &study);
  write_study(&study, path);
  cr_assert_eq(ef_h5_open(path, "series", &file), EF_OK, "%s", ef_message());
  cr_expect_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  expect_text(file, "/simulation", "mechanisms", "posted,aeria-t,dot");
  expect_text(file, "/simulation", "truthful", "yes,yes,yes");
  expect_text(file, "/simulation", "one_price", "yes,under consensus,no");
  expect_text(file, "/simulation", "aeria", "aeria-t");
  expect_text(file, "/simulation/alexnet/slots", "signal", "profit");
  expect_text(file, "/simulation/alexnet/slots", "mechanisms", "posted,aeria-t,dot");
  expect_text(file, "/sweep/c/alexnet", "signal", "ratio_mean");
  expect_text(file, "/traces/price", "file", "");
  int64_t synthetic = 0;
  cr_expect_eq(ef_h5_get_int(file, "/traces/price", "synthetic", &synthetic), EF_OK);
  cr_expect_eq(synthetic, 1);

  const ef_simulation *s = &study.cases[0].simulation;
  double profit[9], mean[3] = {0};
  for (size_t i = 0; i < 9; i++) profit[i] = s->rows[i].profit;
  expect_values(file, "/simulation/alexnet/slots/profit", 3, 3, profit);
  for (size_t m = 0; m < 3; m++) mean[m] = s->summary[m].ratio_mean;
  expect_values(file, "/simulation/alexnet/summary/ratio_mean", 3, 0, mean);
  expect_values(file, "/simulation/alexnet/traffic/unit_cost", 3, 0, s->unit_cost);
  const ef_sweep *c = ef_sweep_find("c");
  expect_values(file, "/sweep/c/alexnet/point", c->count, 0, c->points);
  ef_h5_close(file);
  ef_study_free(&study);
  ef_deck_free(&deck);
  test_remove_folder(folder);
  cr_expect_eq(ef_memory_blocks(), 0u);
}

/* Bytes of every dataset but measured seconds, one after another. */
typedef struct contents {
  ef_h5 *file;
  char *bytes;
  size_t count, datasets;
} contents;

static ef_status collect(void *ctx, const char *path, const ef_h5_array *array) {
  static const size_t sizes[] = {
      [EF_H5_F32] = 4, [EF_H5_F64] = 8, [EF_H5_I32] = 4, [EF_H5_I64] = 8, [EF_H5_U8] = 1};
  contents *c = ctx;
  if (strstr(path, "/seconds")) return EF_OK;
  size_t n = sizes[array->type];
  for (size_t i = 0; i < array->rank; i++) n *= array->shape[i];
  ef_h5_array whole = *array;
  whole.path = path;
  c->bytes = ef_realloc(c->bytes, c->count + n, 1);
  cr_assert_not_null(c->bytes);
  EF_TRY(ef_h5_read(c->file, &whole, c->bytes + c->count));
  c->count += n;
  c->datasets++;
  return EF_OK;
}

static contents read_file(const char *path) {
  contents c = {0};
  cr_assert_eq(ef_h5_open(path, "series", &c.file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_visit(c.file, "/", collect, &c), EF_OK, "%s", ef_message());
  ef_h5_close(c.file);
  return c;
}

Test(market_study, equal_decks_give_equal_data) {
  char folder[256], path[3][PATH];
  const char *const other_seed[] = {"run.seed=6", NULL};
  contents found[3];
  test_make_folder(folder, sizeof folder);
  for (size_t i = 0; i < 3; i++) {
    ef_deck deck;
    ef_study study;
    snprintf(path[i], sizeof path[i], "%s/%zu.h5", folder, i);
    run_study(i == 2 ? other_seed : NULL, &deck, &study);
    write_study(&study, path[i]);
    ef_study_free(&study);
    ef_deck_free(&deck);
    found[i] = read_file(path[i]);
  }
  cr_expect_gt(found[0].datasets, 50u);
  cr_expect(found[0].count == found[1].count && memcmp(found[0].bytes, found[1].bytes, found[0].count) == 0);
  cr_expect(found[0].count != found[2].count || memcmp(found[0].bytes, found[2].bytes, found[0].count) != 0);
  for (size_t i = 0; i < 3; i++) ef_free(found[i].bytes);
  test_remove_folder(folder);
}

/* The point of a sweep that is the deck's own setting is the run of that many slots. */
Test(market_study, a_sweep_meets_the_plain_run) {
  const char *const set[] = {"market.slots=2", "market.sweeps=[users, capacity, deadline, uplink]", NULL};
  ef_deck deck;
  ef_study study;
  run_study(set, &deck, &study);
  for (size_t k = 0; k < study.sweep_count; k++) {
    const ef_study_sweep *s = &study.sweeps[k];
    bool met = false;
    for (size_t p = 0; p < s->sweep->count; p++) {
      if (s->sweep->points[p] != 1.0) continue;
      met = true;
      for (size_t m = 0; m < 3; m++)
        cr_expect_eq(s->summary[p * 3 + m].profit, study.cases[0].simulation.summary[m].profit, "%s",
                     s->sweep->name);
    }
    cr_expect(met, "%s has no point 1", s->sweep->name);
  }
  ef_study_free(&study);
  ef_deck_free(&deck);
}

Test(market_study, traces_come_from_files_beside_the_deck) {
  char folder[256], path[PATH], deck_path[PATH];
  ef_deck deck;
  ef_scenario scenario;
  static const char prices[] = "price\n10\n-2\n30\n";
  ef_log_setup(EF_LOG_QUIET, true);
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/p.csv", folder);
  snprintf(deck_path, sizeof deck_path, "%s/deck.yaml", folder);
  cr_assert_eq(ef_file_write(path, prices, strlen(prices)), EF_OK);
  static const char text[] = "market: {price_file: p.csv, slots: 4, users_least: 3, users_most: 3}\n";
  cr_assert_eq(ef_file_write(deck_path, text, strlen(text)), EF_OK);
  cr_assert_eq(ef_deck_read(deck_path, NULL, 0, &deck), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_study_scenario(&deck, &scenario), EF_OK, "%s", ef_message());
  cr_expect_eq(scenario.price.count, 3u);
  cr_expect_float_eq(scenario.price.value[1], 0.0, 0.0); /* a surplus hour */
  cr_expect_float_eq(scenario.price.value[2], 30.0, 0.0);
  cr_expect(!scenario.price.synthetic && scenario.uplink.synthetic);
  cr_expect_float_eq(scenario.arrivals.value[2], 3.0, 0.0);
  cr_expect_eq(scenario.device.count, 1500u);
  ef_scenario_traces_free(&scenario);
  ef_deck_free(&deck);
  test_remove_folder(folder);
  cr_expect_eq(ef_memory_blocks(), 0u);
}

Test(market_study, refuses_what_it_cannot_find) {
  static const struct {
    const char *override, *message;
    ef_status status;
  } cases[] = {
      {"market.workloads=[vgg61]", "market.workloads: vgg61: no such network", EF_DECK},
      {"market.workloads=[alexnet, alexnet]", "two workloads would be called alexnet", EF_DECK},
      {"market.mechanisms=[vcg]", "market.mechanisms: vcg: no such mechanism", EF_DECK},
      {"market.mechanisms=[dot, dot]", "dot is named twice", EF_DECK},
      {"market.sweeps=[c, c]", "c is named twice", EF_DECK},
      {"market.device_file=/nowhere/d.csv", "/nowhere/d.csv", EF_INPUT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *const set[] = {cases[i].override, NULL};
    ef_deck deck;
    ef_study study;
    read_deck(set, &deck);
    cr_expect_eq(ef_study_run(&deck, &study), cases[i].status, "%s", cases[i].override);
    cr_expect_not_null(strstr(ef_message(), cases[i].message), "%s", ef_message());
    ef_deck_free(&deck);
    cr_expect_eq(ef_memory_blocks(), 0u, "%s", cases[i].override);
  }
}
