#include "plan/speed.h"
#include "support/sample.h"
#include <criterion/criterion.h>
#include <unistd.h>

/* Seconds of every phase by hand, from rates that are whole or half seconds. Llama alone, as in test_plan.c:
 * devices 0 and 1 train, without a slice for early stopping; 2 windows of the holdout, 2 + 1 of the
 * validation text.
 */
typedef struct bench {
  sample s;
  ef_stream validation[2];
  ef_population population;
  ef_rate family[1];
  ef_speeds speeds;
  ef_planner planner;
} bench;

static void bench_make(bench *b, const char *method, int ranks) {
  const char *overrides[] = {"text.public_holdout=0", "federation.validation_share=0", "tune.kl=0.5",
                             "rivals.device_steps=3", NULL};
  sample_make(&b->s, overrides);
  b->s.deck.federation.family_count = 1;
  b->s.run.public_text.count = 30;
  b->s.run.holdout.count = 17;
  b->validation[0] = (ef_stream){.count = 17};
  b->validation[1] = (ef_stream){.count = 9};
  b->s.run.validation = b->validation;
  b->family[0] = (ef_rate){.step = 10.0, .window = 1.0};
  b->speeds = (ef_speeds){.ranks = ranks,
                          .family = b->family,
                          .base = {.step = 3.0, .window = 1.0},
                          .local = {.step = 20.0, .window = 2.0},
                          .shared = {.step = 7.0, .window = 0.5},
                          .crowd = 1.0};
  cr_assert_eq(ef_population_make(&b->s.run, &b->population), EF_OK, "%s", ef_message());
  b->planner = (ef_planner){.run = &b->s.run,
                            .deck = &b->s.deck,
                            .method = ef_method_find(method),
                            .population = &b->population,
                            .ranks = ranks,
                            .nodes = ranks,
                            .speeds = &b->speeds};
}

static void bench_free(bench *b) {
  ef_population_free(&b->population);
  b->s.deck.federation.family_count = 2;
  sample_free(&b->s);
}

static void expect_seconds(const bench *b, const char *name, double wanted) {
  const ef_plan_phase *phase = ef_plan_phases;
  double seconds = 0.0;
  while (phase->name && strcmp(phase->name, name) != 0) phase++;
  cr_assert(phase->name && phase->time, "%s", name);
  cr_expect(ef_plan_has(&b->planner, phase), "%s", name);
  cr_assert_eq(phase->time(&b->planner, &seconds), EF_OK, "%s", ef_message());
  cr_expect_float_eq(seconds, wanted, 1e-9, "%s: %g s, not %g", name, seconds, wanted);
}

Test(plan_time, fusion) {
  for (int ranks = 1; ranks <= 2; ranks++) {
    bench b;
    bench_make(&b, "deepfusion", ranks);
    expect_seconds(&b, "family starts", 4 * 10 + 2);
    expect_seconds(&b, "local training", (10 * 10 + 2 + 3) * 2 / ranks);
    expect_seconds(&b, "proxies", (2 + 3) * 2 / ranks);
    expect_seconds(&b, "base start", 4 * 3 + 2); /* on one rank, whatever there are */
    expect_seconds(&b, "distillation", (3 * (3 + 2) + 2 + 3) * 2 / ranks);
    expect_seconds(&b, "public only", 11 * 7 + 0.5 * (3 * 2 + 2 * 3));
    expect_seconds(&b, "teachers' answers", 7.0 * 2 / ranks); /* 7 windows, by two devices */
    expect_seconds(&b, "tuning", 5 * 7 + 0.5 * (3 * 2 + 2 * 3));
    bench_free(&b);
  }
}

/* Three units of equal length on two ranks take as long as two. */
Test(plan_time, the_busiest_rank_counts) {
  bench b;
  bench_make(&b, "deepfusion", 2);
  b.s.deck.fusion.clusters = 3;
  expect_seconds(&b, "proxies", 2 * (2 + 3));
  bench_free(&b);
}

/* Four ranks to a core of this machine: what was measured with all of them at work takes a quarter of the
 * time where one works alone. */
Test(plan_time, ranks_without_work_leave_the_cores_to_others) {
  int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
  bench b;
  bench_make(&b, "deepfusion", 4 * cores);
  b.planner.nodes = 1;
  b.speeds.crowd = ef_plan_crowd(&b.planner, 4 * cores);
  cr_expect_float_eq(b.speeds.crowd, 4.0, 1e-12);
  expect_seconds(&b, "base start", (4 * 3 + 2) / 4.0);
  expect_seconds(&b, "tuning", 5 * 7 + 0.5 * (3 * 2 + 2 * 3));
  bench_free(&b);
}

Test(plan_time, rounds_of_models) {
  bench b;
  bench_make(&b, "fedavg", 2);
  expect_seconds(&b, "server", 11 * 7 + 0.5 * (3 * 2 + 2 * 3));
  expect_seconds(&b, "rounds", 2 * (5 * 20 + 2 * 2));
  expect_seconds(&b, "average", 2 * 2 * (2 + 3));
  bench_free(&b);
}

/* 4 windows: by the server before each of 2 rounds and at the end, by two devices in each round. */
Test(plan_time, rounds_of_logits) {
  bench b;
  bench_make(&b, "fedkmt", 1);
  expect_seconds(&b, "logits", 3 * 4 * 0.5 + 2 * 2 * 4);
  expect_seconds(&b, "transfer to devices", 2 * 2 * 3 * 10);
  bench_free(&b);
}

/* A step has two micro-batches, the network takes no time. One rank on each node: nobody waits for a core. */
Test(plan_time, another_layout) {
  const ef_interconnect free_network = {.bandwidth = 1e30, .node_bandwidth = 1e30};
  const struct {
    int ranks;
    double step, window;
  } cases[] = {{1, 7.0, 0.5}, {2, 3.5, 0.25}, {4, 3.5, 0.125}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench b;
    bench_make(&b, "deepfusion", 1);
    b.planner.ranks = cases[i].ranks;
    b.planner.nodes = cases[i].ranks;
    cr_assert_eq(ef_global_dims(&b.s.run, &b.planner.global, &b.planner.base), EF_OK, "%s", ef_message());
    cr_assert_eq(ef_speeds_spread(&b.planner, &free_network, &b.speeds), EF_OK, "%s", ef_message());
    cr_expect_eq(b.speeds.ranks, cases[i].ranks);
    cr_expect_float_eq(b.speeds.shared.step, cases[i].step, 1e-9);
    cr_expect_float_eq(b.speeds.shared.window, cases[i].window, 1e-12);
    cr_expect_float_eq(b.family[0].step, 10.0, 0.0);
    bench_free(&b);
  }
}
