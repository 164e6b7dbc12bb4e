/* What is said of a study, on figures made by hand. */
#include "base/file.h"
#include "base/memory.h"
#include "study/report.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { COUNT = 5, PATH = 512 };

typedef struct sample {
  ef_deck deck;
  ef_study study;
  ef_study_case cases[1];
  ef_summary_row summary[COUNT];
  const ef_mechanism *mechanisms[COUNT];
  char *notes[COUNT];
  double users[2], bidders[2], unit_cost[2];
} sample;

/* posted .9/.2, aeria-t .7/.5, dot .7/.6, pay-as-bid 2/1, omniscient-f2 1/1. */
static void make(sample *s, const char *variant) {
  static const char *const names[COUNT] = {"posted", "aeria-t", "dot", "pay-as-bid", "omniscient-f2"};
  static const double mean[COUNT] = {.9, .7, .7, 2., 1.}, least[COUNT] = {.2, .5, .6, 1., 1.};
  static char note[] = "too large";
  char set[64];
  const char *overrides[] = {set};
  *s = (sample){.users = {3, 5}, .bidders = {2, 3}, .unit_cost = {.1, .3}};
  snprintf(set, sizeof set, "market.variant=%s", variant);
  cr_assert_eq(ef_deck_parse("deck.yaml", "", overrides, 1, &s->deck), EF_OK);
  for (size_t m = 0; m < COUNT; m++) {
    s->mechanisms[m] = ef_mechanism_find(names[m]);
    cr_assert_not_null(s->mechanisms[m], "%s", names[m]);
    s->summary[m] = (ef_summary_row){.ratio_mean = mean[m], .ratio_min = least[m], .cleared = 2};
  }
  s->summary[1].profit = 12.5;
  s->summary[1].seconds = 25e-6;
  s->summary[1].envy_rate = NAN;
  s->summary[2].profit = -1e-15;
  s->notes[2] = note;
  s->cases[0] = (ef_study_case){.name = "mine",
                                .simulation = {.slots = 2,
                                               .mechanism_count = COUNT,
                                               .mechanisms = s->mechanisms,
                                               .summary = s->summary,
                                               .notes = s->notes,
                                               .users = s->users,
                                               .bidders = s->bidders,
                                               .unit_cost = s->unit_cost,
                                               .capacity = 77}};
  s->study = (ef_study){.deck = &s->deck,
                        .cases = s->cases,
                        .case_count = 1,
                        .mechanisms = s->mechanisms,
                        .mechanism_count = COUNT,
                        .scenario = {.slots = 2, .price = {.synthetic = true}}};
}

Test(market_report, place_among_the_truthful) {
  sample s;
  ef_standing standing;
  make(&s, "T");
  cr_assert(ef_study_standing(&s.study, s.cases, "ratio_mean", &standing));
  cr_expect_eq(standing.place,
               2u); /* behind posted; dot is equal; pay-as-bid and the benchmark do not count */
  cr_expect_eq(standing.of, 3u);
  cr_expect_str_eq(standing.best, "posted");
  cr_expect_float_eq(standing.best_value, .9, 0.0);
  cr_assert(ef_study_standing(&s.study, s.cases, "ratio_min", &standing));
  cr_expect_eq(standing.place, 2u);
  cr_expect_str_eq(standing.best, "dot");
  s.summary[1].ratio_mean = NAN;
  cr_expect_not(ef_study_standing(&s.study, s.cases, "ratio_mean", &standing));
  ef_deck_free(&s.deck);
  make(&s, "D"); /* which was not run */
  cr_expect_not(ef_study_standing(&s.study, s.cases, "ratio_mean", &standing));
  ef_deck_free(&s.deck);
}

static char *page_of(const ef_study *study) {
  char folder[256], path[PATH], *page = NULL;
  size_t bytes;
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/report.md", folder);
  cr_assert_eq(ef_market_report_write(study, "edgefuse market simulate d.yaml", path), EF_OK, "%s",
               ef_message());
  cr_assert_eq(ef_file_read(path, EF_MACHINE, &page, &bytes), EF_OK);
  test_remove_folder(folder);
  return page;
}

Test(market_report, page_says_it_plainly) {
  static const char *const wanted[] = {
      "- mine, by mean ratio: aeria-t is number 2 of 3 with 0.700; the best of the others is posted with "
      "0.900.",
      "- mine, by least ratio: aeria-t is number 2 of 3 with 0.500; the best of the others is dot with "
      "0.600.",
      "Means over 2 slots: 4.0 users, 2.5 bidders, unit cost 0.2000; capacity 77 units.",
      "dot left out 0 of 2 slots: too large.",
      "1 of 4 traces are synthetic",
      "`edgefuse market simulate d.yaml`",
      "12.5",
      "25.0",
  };
  sample s;
  make(&s, "T");
  char *page = page_of(&s.study);
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    cr_expect_not_null(strstr(page, wanted[i]), "%s\n is not in\n%s", wanted[i], page);
  cr_expect_null(strstr(page, "-0.0"), "a rounding error is no loss");
  cr_expect_null(strstr(page, "nan"));
  ef_free(page);
  ef_deck_free(&s.deck);
  make(&s, "E");
  page = page_of(&s.study);
  cr_expect_not_null(strstr(page, "aeria-e is not among the mechanisms that were compared."));
  ef_free(page);
  ef_deck_free(&s.deck);
}

Test(market_report, json_has_the_figures) {
  sample s;
  const char *files[] = {"a", "b"};
  make(&s, "T");
  json_t *o = ef_market_report_json(&s.study, files, 2);
  cr_assert_not_null(o);
  json_t *w = json_array_get(json_object_get(o, "workloads"), 0);
  json_t *m = json_array_get(json_object_get(w, "mechanisms"), 1);
  json_t *place = json_object_get(json_object_get(w, "place"), "ratio_min");
  cr_expect_eq(json_integer_value(json_object_get(o, "slots")), 2);
  cr_expect_str_eq(json_string_value(json_object_get(w, "name")), "mine");
  cr_expect_eq(json_integer_value(json_object_get(w, "capacity")), 77);
  cr_expect_eq(json_integer_value(json_object_get(place, "place")), 2);
  cr_expect_str_eq(json_string_value(json_object_get(place, "best_other")), "dot");
  cr_expect_str_eq(json_string_value(json_object_get(m, "name")), "aeria-t");
  cr_expect_str_eq(json_string_value(json_object_get(m, "truthful")), "yes");
  cr_expect_str_eq(json_string_value(json_object_get(m, "one_price")), "under consensus");
  cr_expect_eq(json_real_value(json_object_get(m, "profit")), 12.5);
  cr_expect_eq(json_real_value(json_object_get(m, "seconds")), 25e-6);
  cr_expect(json_is_null(json_object_get(m, "envy_rate")), "JSON has no NaN");
  cr_expect_eq(json_array_size(json_object_get(o, "synthetic")), 1u);
  cr_expect_str_eq(json_string_value(json_array_get(json_object_get(o, "files"), 1)), "b");
  json_decref(o);
  ef_deck_free(&s.deck);
}
