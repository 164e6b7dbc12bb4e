#include "base/memory.h"
#include "federation/population.h"
#include "support/tiny_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { DEVICES = 10000, ENTRIES = 5 };

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static const char *const many[] = {"federation.devices=10000",        "federation.partition=paper",
                                   "federation.families.0.share=1",   "federation.families.1.share=2",
                                   "federation.families.2.share=3",   "federation.families.3.share=0",
                                   "federation.families.4.share=4",   "federation.fail=[0, 3, 9999]",
                                   "federation.fail_probability=0.2", NULL};

static void expect_share(const char *what, size_t count, size_t of, double share) {
  double sigma = sqrt((double)of * share * (1.0 - share));
  cr_assert_float_eq((double)count, (double)of * share, 4.0 * sigma + 1e-9, "%s: %zu of %zu", what, count,
                     of);
}

Test(population, families_and_failures_are_drawn_with_the_weights_of_the_deck) {
  tiny_run t;
  ef_population p;
  tiny_run_open(&t, NULL, many);
  cr_ok(ef_population_make(&t.run, &p));
  cr_assert(p.devices == DEVICES && p.entries == ENTRIES);
  size_t drawn[ENTRIES] = {0}, failed = 0, both = 0;
  for (size_t n = 0; n < DEVICES; n++) {
    drawn[p.entry[n]]++;
    failed += p.fails[n];
    both += p.fails[n] && p.entry[n] == 4;
  }
  const double shares[ENTRIES] = {0.1, 0.2, 0.3, 0.0, 0.4};
  for (size_t i = 0; i < ENTRIES; i++) expect_share("family", drawn[i], DEVICES, shares[i]);
  cr_assert(p.fails[0] && p.fails[3] && p.fails[9999]);
  expect_share("failures", failed - 3, DEVICES - 3, 0.2);
  expect_share("failures in one family", both, drawn[4], 0.2);
  ef_population_free(&p);
  tiny_run_close(&t);
}

Test(population, is_the_same_on_every_rank) {
  tiny_run t;
  ef_population a, b;
  tiny_run_open(&t, NULL, many);
  cr_ok(ef_population_make(&t.run, &a));
  t.alone.rank = 2;
  t.alone.size = 3;
  cr_ok(ef_population_make(&t.run, &b));
  t.alone = ef_par_alone();
  cr_assert_eq(memcmp(a.entry, b.entry, DEVICES * sizeof *a.entry), 0);
  cr_assert_eq(memcmp(a.fails, b.fails, DEVICES * sizeof *a.fails), 0);
  cr_assert_eq(memcmp(a.partition.first, b.partition.first, (DEVICES + 1) * sizeof *a.partition.first), 0);
  ef_population_free(&a);
  ef_population_free(&b);
  tiny_run_close(&t);
}

Test(population, gives_every_private_document_to_one_device) {
  tiny_run t;
  ef_population p;
  bool held[TINY_DOCUMENTS] = {false};
  size_t blocks = ef_memory_blocks();
  tiny_run_open(&t, NULL, NULL);
  cr_ok(ef_population_make(&t.run, &p));
  for (size_t n = 0; n < p.devices; n++) {
    const size_t *documents;
    size_t count = ef_population_documents(&p, n, &documents);
    for (size_t i = 0; i < count; i++) {
      cr_assert(!held[documents[i]]);
      held[documents[i]] = true;
    }
  }
  for (size_t d = 0; d < TINY_DOCUMENTS; d++) cr_assert_eq(held[d], t.run.tokens.split[d] == EF_PRIVATE);
  ef_population_free(&p);
  tiny_run_close(&t);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

Test(population, models_hold_the_longer_of_the_two_contexts) {
  const char *overrides[] = {"global.context=24", "federation.context=16", NULL};
  tiny_run t;
  ef_population p;
  tiny_run_open(&t, NULL, overrides);
  cr_ok(ef_population_make(&t.run, &p));
  const ef_family families[ENTRIES] = {EF_GPT2, EF_LLAMA, EF_QWEN2, EF_OLMO, EF_BLOOM};
  for (size_t i = 0; i < ENTRIES; i++) {
    cr_assert(p.dims[i].family == families[i] && p.dims[i].max_positions == 24 && p.dims[i].V == TINY_V);
  }
  ef_population_free(&p);
  tiny_run_close(&t);
}

static void expect_refused(const char *const *overrides, void (*spoil)(ef_deck *), const char *message) {
  tiny_run t;
  ef_population p;
  tiny_run_open(&t, NULL, overrides);
  if (spoil) spoil(&t.deck);
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(ef_population_make(&t.run, &p), EF_DECK);
  cr_assert_str_eq(ef_message(), message);
  cr_assert_eq(ef_memory_blocks(), blocks);
  tiny_run_close(&t);
}

/* The deck refuses these itself; the population does not rely on it. */
static void fewer_devices(ef_deck *deck) { deck->federation.devices = 3; }
static void odd_heads(ef_deck *deck) { deck->federation.families[1].heads = 5; }

Test(population, devices_that_are_none_and_models_that_do_not_fit_are_refused) {
  const char *fail[] = {"federation.fail=[3]", "federation.devices=5", NULL};
  expect_refused(fail, fewer_devices, "federation.fail: 3 is no device; devices are 0 to 2");
  expect_refused(NULL, odd_heads, "federation.families.1: model: width 12 is not divisible by 5 heads");
}

Test(population, too_few_uploads_or_clusters_are_refused_before_any_training) {
  const char *failing[] = {"federation.fail=[0, 2]", NULL},
             *certain[] = {"federation.fail_probability=1", NULL};
  const char *families[] = {"federation.devices=200", NULL};
  expect_refused(failing, NULL,
                 "2 of 4 devices can upload, fewer than fusion.clusters = 4: lower it, or use more devices");
  expect_refused(certain, NULL,
                 "all 4 devices fail (federation.fail, federation.fail_probability): name fewer of them, or "
                 "lower the probability, until at least fusion.clusters = 4 are left");
  expect_refused(
      families, NULL,
      "fusion.clusters is 4, but devices of 5 families take part and a cluster holds one family: set it to "
      "at least 5");
}
