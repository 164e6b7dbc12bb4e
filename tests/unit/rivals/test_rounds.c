#include "base/memory.h"
#include "federation/wire.h"
#include "fusion/bases.h"
#include "par/stop.h"
#include "rivals/pruned.h"
#include "store/h5.h"
#include "support/rounds_sample.h"
#include "support/support.h"
#include "train/trainer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

enum { STEPS = 4, MOST_DEVICES = 3, FIELDS = 8 };

static rounds_sample s;

static void open_sample(bool pruned, const char *const *overrides) {
  rounds_sample_open(&s, NULL, pruned, overrides);
}

static bool same(const ef_model *a, const ef_model *b) {
  return a->table.floats == b->table.floats &&
         memcmp(a->params, b->params, a->table.floats * sizeof(float)) == 0;
}

/* ---- a plain reference --------------------------------------------------------------------------------- */

static ef_stream text_of(size_t device) {
  const size_t *documents;
  size_t n = ef_population_documents(&s.population, device, &documents);
  ef_stream text;
  cr_ok(ef_stream_read(&s.t.run.tokens, documents, n, &text));
  return text;
}

/* What `device` makes of `model` in the round with this number: four steps of a trainer of its own. */
static void train(ef_model *model, size_t device, size_t round) {
  ef_stream all = text_of(device);
  size_t slice = (size_t)(0.1 * (double)all.count);
  ef_stream own = {.ids = all.ids, .count = all.count - slice};
  ef_stream kept = {.ids = all.ids + own.count, .count = slice};
  ef_recipe recipe = {.steps = STEPS,
                      .batch = TINY_B,
                      .context = TINY_T,
                      .lr = 1e-3,
                      .min_lr = 0.1,
                      .decay = 0.1,
                      .clip = 1.0,
                      .warmup = 1,
                      .holdout = &kept,
                      .look_every = 2,
                      .patience = 3,
                      .look_windows = 64};
  ef_source source = {
      .general = &own, .seed = 1, .unit = ef_unit(EF_UNIT_LOCAL, round * s.population.devices + device)};
  ef_trainer trainer;
  cr_ok(ef_trainer_create(model, s.t.run.kernels, &recipe, &source, NULL, &trainer));
  while (!trainer.ended) cr_ok(ef_trainer_step(&trainer));
  ef_trainer_free(&trainer);
  ef_stream_free(&all);
}

/* Which experts each device held in a round: order (N,layers,E), as the round's part keeps it. */
static void read_orders(size_t round, int32_t *order) {
  size_t cells = ef_dims_moe_count(&s.global) * s.global.E, N = s.population.devices;
  ef_part_key key = {.kind = EF_UNIT_ROUND, .index = round, .sections = s.plan.sections};
  ef_h5_array array = {.path = "/round/devices", .type = EF_H5_F64, .rank = 2, .shape = {N, FIELDS + cells}};
  double rows[MOST_DEVICES * (FIELDS + 64)];
  ef_h5 *file;
  cr_ok(ef_part_open(&s.t.run, &key, false, &file));
  cr_ok(ef_h5_read(file, &array, rows));
  ef_h5_close(file);
  for (size_t n = 0; n < N; n++) {
    for (size_t i = 0; i < cells; i++) {
      order[n * cells + i] = (int32_t)rows[n * (FIELDS + cells) + FIELDS + i];
    }
  }
}

/* The local number of expert `e` on a device, -1 if it is not held there. */
static int place_of(const int32_t *order, size_t held, int e) {
  for (size_t j = 0; j < held; j++) {
    if (order[j] == e) return (int)j;
  }
  return -1;
}

/* One number of the average: `at` of a tensor of the global model, over the devices that hold it. */
static float plain_mean(const ef_tensor *tensor, size_t at, const ef_model *locals, const int32_t *orders,
                        const double *weight, float kept) {
  size_t N = s.population.devices, E = s.global.E, D = s.global.D, held = s.plan.held;
  size_t cells = ef_dims_moe_count(&s.global) * E;
  bool router = tensor->role == EF_T_ROUTER_W;
  int expert = router ? (int)(at / D) : tensor->expert;
  double sum = 0.0, all = 0.0;
  for (size_t n = 0; n < N; n++) {
    int local = -1;
    if (expert >= 0) local = place_of(orders + n * cells + (size_t)tensor->layer * E, held, expert);
    if (expert >= 0 && local < 0) continue;
    const float *x = ef_model_tensor(&locals[n], tensor->role, tensor->layer, router ? -1 : local);
    sum += weight[n] * (double)x[router ? (size_t)local * D + at % D : at];
    all += weight[n];
  }
  return all > 0.0 ? (float)(sum / all) : kept;
}

/* Two devices, one round: what the devices make of the start, and the mean by the definition. */
static void check_mean(bool pruned) {
  open_sample(pruned, (const char *[]){"rivals.rounds=1", NULL});
  cr_ok(rounds_sample_run(&s));
  ef_model start = rounds_sample_model(&s, -1), after = rounds_sample_model(&s, 0), locals[2];
  int32_t orders[2 * 2 * 4];
  double weight[2];
  ef_dims dims;
  size_t cells = 8;
  read_orders(0, orders);
  cr_ok(ef_pruned_dims(&s.global, s.plan.held, &dims));
  for (size_t n = 0; n < 2; n++) {
    ef_stream text = text_of(n);
    weight[n] = (double)text.count;
    ef_stream_free(&text);
    cr_ok(ef_model_create(&dims, &locals[n]));
    ef_pruned_take(&start, orders + n * cells, &locals[n]);
    train(&locals[n], n, 0);
  }
  size_t compared = 0, moved = 0;
  for (size_t i = 0; i < after.table.count; i++) {
    const ef_tensor *tensor = &after.table.tensors[i];
    for (size_t j = 0; j < tensor->count; j++, compared++) {
      float old = start.params[tensor->offset + j], new = after.params[tensor->offset + j];
      cr_assert_eq(new, plain_mean(tensor, j, locals, orders, weight, old), "%s[%zu]", tensor->name, j);
      moved += new != old;
    }
  }
  cr_assert_gt(moved, compared / 2);
  for (size_t n = 0; n < 2; n++) ef_model_free(&locals[n]);
  ef_model_free(&start);
  ef_model_free(&after);
  rounds_sample_close(&s);
}

Test(rounds, fedavg_is_the_mean_of_two_devices) { check_mean(false); }
Test(rounds, fedjets_is_the_mean_over_the_holders) { check_mean(true); }

Test(rounds, one_device_alone_trains_the_model) {
  open_sample(false, (const char *[]){"federation.devices=1", NULL});
  cr_ok(rounds_sample_run(&s));
  ef_model model = rounds_sample_model(&s, -1);
  for (int round = 0; round < 2; round++) {
    ef_model after = rounds_sample_model(&s, round);
    train(&model, 0, (size_t)round);
    cr_assert(same(&model, &after), "round %d", round);
    ef_model_free(&after);
  }
  cr_assert_eq(s.devices.records[0].steps, 2 * STEPS);
  cr_assert_gt(s.devices.records[0].peak_bytes, 4 * model.table.floats * sizeof(float));
  ef_model_free(&model);
  rounds_sample_close(&s);
}

/* A device gets the experts that weigh most on its own text, by the gate of the round's routers. */
Test(rounds, experts_are_those_of_the_gate) {
  open_sample(true, NULL);
  cr_ok(rounds_sample_run(&s));
  for (int round = 0; round < 2; round++) {
    ef_model common, global = rounds_sample_model(&s, round - 1);
    int32_t orders[2 * 2 * 4], order[4];
    double mass[2 * 4];
    cr_ok(ef_base_start_load(&s.t.run, &common));
    read_orders((size_t)round, orders);
    for (size_t n = 0; n < 2; n++) {
      ef_stream text = text_of(n);
      text.count -= (size_t)(0.1 * (double)text.count);
      cr_ok(ef_gate_mass(s.t.run.kernels, &common, &global, &text, TINY_T, 64, mass));
      for (size_t l = 0; l < 2; l++) {
        ef_experts_order(mass + l * 4, 4, SAMPLE_HELD, order);
        cr_assert_eq(memcmp(order, orders + n * 8 + l * 4, sizeof order), 0, "device %zu", n);
      }
      ef_stream_free(&text);
    }
    ef_model_free(&common);
    ef_model_free(&global);
  }
  rounds_sample_close(&s);
}

/* ---- bytes --------------------------------------------------------------------------------------------- */

/* Numbers of the global model with `held` experts of each layer, tensor by tensor; of the common start. */
static uint64_t numbers_of(const ef_model *model, size_t held) {
  uint64_t n = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i];
    if (t->expert < (int)held) n += t->rank == 2 ? t->shape[0] * t->shape[1] : t->shape[0];
  }
  return n;
}

static void check_bytes(bool pruned, const char *wire, uint64_t width, const char *fail, uint64_t able) {
  open_sample(pruned, (const char *[]){"federation.devices=3", wire, fail, NULL});
  cr_ok(rounds_sample_run(&s));
  ef_model global = rounds_sample_model(&s, -1), common;
  cr_ok(ef_base_start_load(&s.t.run, &common));
  uint64_t local = width * numbers_of(&global, s.plan.held),
           once = pruned ? width * numbers_of(&common, 0) : 0;
  cr_assert_eq(ef_ledger_total(&s.ledger, EF_UP), able * 2 * local);
  cr_assert_eq(ef_ledger_total(&s.ledger, EF_DOWN), able * (2 * local + once));
  for (int d = 0; d < EF_DIRECTION_COUNT; d++) {
    cr_assert_eq(s.rounds.formula[d], ef_ledger_total(&s.ledger, (ef_direction)d));
    cr_assert_eq(ef_ledger_class(&s.ledger, (ef_direction)d, EF_MSG_WEIGHTS), s.rounds.formula[d]);
  }
  ef_model_free(&global);
  ef_model_free(&common);
}

Test(rounds, ledger_is_the_closed_formula) {
  for (int pruned = 0; pruned < 2; pruned++) {
    check_bytes(pruned, "federation.wire=float32", 4, "federation.fail=[]", 3);
    rounds_sample_close(&s);
    check_bytes(pruned, "federation.wire=bfloat16", 2, "federation.fail=[]", 3);
    rounds_sample_close(&s);
  }
}

/* Both ways carry bfloat16: the mean of one device is a model of such numbers. */
Test(rounds, the_wire_rounds) {
  open_sample(true, (const char *[]){"federation.devices=1", "federation.wire=bfloat16", NULL});
  cr_ok(rounds_sample_run(&s));
  ef_model after = rounds_sample_model(&s, 1), rounded = rounds_sample_model(&s, 1);
  ef_wire_round(&s.t.deck, &rounded);
  size_t differing = 0, held_differing = 0;
  for (size_t i = 0; i < after.table.count; i++) {
    const ef_tensor *t = &after.table.tensors[i];
    bool differs =
        memcmp(after.params + t->offset, rounded.params + t->offset, t->count * sizeof(float)) != 0;
    differing += differs;
    held_differing += differs && t->expert < 0 && t->role != EF_T_ROUTER_W;
  }
  cr_assert_eq(held_differing, 0, "what a device sent");
  cr_assert_gt(differing, 0, "an expert that nobody held stays as it was");
  ef_model_free(&after);
  ef_model_free(&rounded);
  rounds_sample_close(&s);
}

/* ---- who takes part ------------------------------------------------------------------------------------ */

Test(rounds, a_failing_device_takes_no_part) {
  for (int pruned = 0; pruned < 2; pruned++) {
    check_bytes(pruned, "federation.wire=float32", 4, "federation.fail=[1]", 2);
    cr_assert_eq(s.devices.records[1].state, EF_DEVICE_FAILED);
    cr_assert_eq(s.devices.records[1].steps, 0);
    cr_assert_eq(ef_ledger_device(&s.ledger, 1, EF_UP) + ef_ledger_device(&s.ledger, 1, EF_DOWN), 0);
    for (size_t e = 0; e < s.global.E; e++) cr_assert_eq(s.rounds.lineage[e * 3 + 1], 0.0f);
    rounds_sample_close(&s);
  }
}

Test(rounds, a_device_without_text_takes_no_part) {
  open_sample(true, NULL);
  s.population.partition.first[1] = s.population.partition.first[2]; /* device 0 has the text of both */
  cr_ok(rounds_sample_run(&s));
  cr_assert_eq(s.devices.records[1].state, EF_DEVICE_NO_TEXT);
  cr_assert_eq(s.devices.records[0].state, EF_DEVICE_OK);
  cr_assert_eq(ef_ledger_device(&s.ledger, 1, EF_DOWN), 0);
  for (int d = 0; d < EF_DIRECTION_COUNT; d++)
    cr_assert_eq(s.rounds.formula[d], ef_ledger_device(&s.ledger, 0, (ef_direction)d));
  rounds_sample_close(&s);
}

/* Shares of FedAvg are the private tokens; those of a pruned model are weights over holders, by layer. */
Test(rounds, lineage_says_who_shaped_an_expert) {
  open_sample(false, NULL);
  cr_ok(rounds_sample_run(&s));
  const ef_device_record *r = s.devices.records;
  double all = (double)(r[0].tokens + r[1].tokens);
  for (size_t i = 0; i < 8; i++) cr_assert_float_eq(s.rounds.lineage[i], (double)r[i % 2].tokens / all, 1e-6);
  rounds_sample_close(&s);
  open_sample(true, NULL);
  cr_ok(rounds_sample_run(&s));
  r = s.devices.records;
  all = (double)(r[0].tokens + r[1].tokens);
  int32_t orders[2 * 2 * 4];
  read_orders(1, orders);
  for (int e = 0; e < 4; e++) {
    double share[2] = {0.0, 0.0};
    for (size_t l = 0; l < 2; l++) {
      bool first = place_of(orders + l * 4, SAMPLE_HELD, e) >= 0;
      bool second = place_of(orders + 8 + l * 4, SAMPLE_HELD, e) >= 0;
      if (first) share[0] += second ? 0.5 * (double)r[0].tokens / all : 0.5;
      if (second) share[1] += first ? 0.5 * (double)r[1].tokens / all : 0.5;
    }
    for (int n = 0; n < 2; n++) cr_assert_float_eq(s.rounds.lineage[e * 2 + n], share[n], 1e-6);
  }
  rounds_sample_close(&s);
}

Test(rounds, early_exits_survive) {
  open_sample(true, (const char *[]){"exits.after=[1]", NULL});
  cr_ok(rounds_sample_run(&s));
  ef_model start = rounds_sample_model(&s, -1), after = rounds_sample_model(&s, 1);
  const float *before = ef_model_tensor(&start, EF_T_EXIT_NORM_W, 0, -1);
  cr_assert_not_null(before);
  cr_assert_eq(memcmp(before, ef_model_tensor(&after, EF_T_EXIT_NORM_W, 0, -1), 8 * sizeof(float)), 0);
  ef_model_free(&start);
  ef_model_free(&after);
  rounds_sample_close(&s);
}

static void refused(bool pruned, size_t held, const char *const *overrides, const char *text) {
  open_sample(pruned, overrides);
  s.plan.held = held;
  size_t steps = s.t.run.steps;
  cr_assert_eq(rounds_sample_run(&s), EF_DECK);
  cr_assert_not_null(strstr(ef_message(), text), "%s", ef_message());
  cr_assert_eq(s.t.run.steps, steps, "nothing is trained");
  rounds_sample_close(&s);
}

Test(rounds, a_deck_that_cannot_work_is_refused) {
  refused(true, 5, NULL, "rivals.experts (5) must be at most global.experts (4)");
  refused(true, 1, NULL, "rivals.experts (1) must be at least global.top_k (2)");
  open_sample(false, NULL);
  s.population.fails[0] = s.population.fails[1] = true;
  cr_assert_eq(rounds_sample_run(&s), EF_DECK);
  cr_assert_not_null(strstr(ef_message(), "all 2 devices are left out"), "%s", ef_message());
  rounds_sample_close(&s);
}

/* ---- stops and bad numbers ----------------------------------------------------------------------------- */

static const ef_kernels *plain;
static size_t updates, stop_at, spoil_at;

/* AdamW that is told to stop the run, or to spoil a number, at one of its calls. */
static void counted_adamw(const ef_adamw *o, size_t n, float *p, const float *g, float *m, float *v) {
  plain->adamw(o, n, p, g, m, v);
  if (++updates == stop_at) raise(SIGUSR1);
  if (updates == spoil_at) p[0] = NAN;
}

static ef_kernels count_updates(void) {
  plain = s.t.run.kernels;
  ef_kernels counted = *plain;
  counted.adamw = counted_adamw;
  return counted;
}

/* What is compared: the model at the end, the bytes, the devices' steps. */
typedef struct result {
  ef_model model;
  uint64_t bytes[2][2];
  size_t steps, run_steps;
} result;

static result result_of(void) {
  result r = {.model = rounds_sample_model(&s, 1), .run_steps = s.t.run.steps};
  for (size_t n = 0; n < 2; n++) {
    r.bytes[n][0] = ef_ledger_device(&s.ledger, n, EF_UP);
    r.bytes[n][1] = ef_ledger_device(&s.ledger, n, EF_DOWN);
    r.steps += s.devices.records[n].steps;
  }
  return r;
}

/* The start of the run again: what is behind its results is counted anew, but for the starts of the bases. */
static void resume(const ef_kernels *kernels, size_t steps) {
  cr_ok(ef_stop_setup(&s.t.run.stop, NULL, 0.0));
  s.t.run.stopping = false;
  s.t.run.kernels = kernels;
  s.t.run.steps = steps;
}

Test(rounds, stopped_at_any_step_they_end_with_the_same_bits) {
  open_sample(true, NULL);
  size_t steps = s.t.run.steps;
  cr_ok(rounds_sample_run(&s));
  result whole = result_of();
  ef_quality validation[2 * TINY_DOMAINS];
  memcpy(validation, s.rounds.validation, sizeof validation);
  cr_assert_eq(whole.steps, 2 * 2 * STEPS);
  rounds_sample_close(&s);
  for (stop_at = 1; stop_at <= whole.steps; stop_at++) {
    open_sample(true, NULL);
    ef_kernels counted = count_updates();
    updates = 0;
    s.t.run.kernels = &counted;
    cr_assert_eq(rounds_sample_run(&s), EF_STOPPED, "step %zu: %s", stop_at, ef_message());
    resume(plain, steps);
    cr_ok(rounds_sample_run(&s));
    result r = result_of();
    cr_assert(same(&whole.model, &r.model), "step %zu", stop_at);
    cr_assert_eq(memcmp(whole.bytes, r.bytes, sizeof r.bytes), 0, "step %zu", stop_at);
    cr_assert_eq(r.steps, whole.steps);
    cr_assert_eq(r.run_steps, whole.run_steps);
    cr_assert_eq(memcmp(validation, s.rounds.validation, sizeof validation), 0);
    ef_model_free(&r.model);
    rounds_sample_close(&s);
  }
  ef_model_free(&whole.model);
}

Test(rounds, finished_rounds_are_found_and_uploads_are_gone) {
  open_sample(true, NULL);
  size_t steps = s.t.run.steps;
  cr_ok(rounds_sample_run(&s));
  result whole = result_of();
  float lineage[8];
  char path[4096];
  memcpy(lineage, s.rounds.lineage, sizeof lineage);
  for (size_t i = 0; i < 4; i++) {
    ef_part_key key = {.kind = EF_UNIT_LOCAL, .index = i, .sections = s.plan.sections};
    ef_part_path(&s.t.run, &key, false, path, sizeof path);
    cr_assert_neq(access(path, F_OK), 0, "%s", path);
  }
  updates = stop_at = spoil_at = 0;
  ef_kernels counted = count_updates();
  resume(&counted, steps);
  cr_ok(rounds_sample_run(&s));
  result r = result_of();
  cr_assert_eq(updates, 0, "nothing is trained again");
  cr_assert_eq(memcmp(whole.bytes, r.bytes, sizeof r.bytes), 0);
  cr_assert_eq(r.run_steps, whole.run_steps);
  cr_assert_eq(memcmp(lineage, s.rounds.lineage, sizeof lineage), 0);
  ef_model_free(&whole.model);
  ef_model_free(&r.model);
  rounds_sample_close(&s);
}

/* A number of device 1 is spoilt in the first round: the average is that of device 0, and in the next round
 * both take part again. */
Test(rounds, a_device_without_finite_numbers_is_left_out_of_the_round) {
  open_sample(false, NULL);
  ef_kernels counted = count_updates();
  updates = stop_at = 0;
  spoil_at = STEPS + 1;
  s.t.run.kernels = &counted;
  cr_ok(rounds_sample_run(&s));
  s.t.run.kernels = plain;
  ef_model model = rounds_sample_model(&s, -1), after = rounds_sample_model(&s, 0);
  train(&model, 0, 0);
  cr_assert(same(&model, &after));
  cr_assert_eq(s.devices.records[1].state, EF_DEVICE_OK, "of the last round");
  cr_assert_eq(ef_ledger_device(&s.ledger, 1, EF_UP) * 2, ef_ledger_device(&s.ledger, 1, EF_DOWN));
  cr_assert_eq(s.rounds.formula[EF_UP], ef_ledger_total(&s.ledger, EF_UP));
  cr_assert_eq(s.rounds.formula[EF_DOWN], ef_ledger_total(&s.ledger, EF_DOWN));
  ef_model_free(&model);
  ef_model_free(&after);
  rounds_sample_close(&s);
}

Test(rounds, when_no_numbers_are_finite_nothing_is_averaged) {
  open_sample(false, (const char *[]){"federation.devices=1", NULL});
  ef_kernels counted = count_updates();
  updates = stop_at = 0;
  spoil_at = 2;
  s.t.run.kernels = &counted;
  cr_assert_eq(rounds_sample_run(&s), EF_NUMBERS);
  cr_assert_not_null(strstr(ef_message(), "round 1"), "%s", ef_message());
  rounds_sample_close(&s);
}

/* Equal work: all rounds together take the steps of a device's one training
 * (tests/unit/federation/test_local.c). */
Test(rounds, steps_are_shared_among_the_rounds) {
  static const struct {
    int64_t steps, rounds, most;
    double epochs;
    size_t tokens, expected;
  } cases[] = {
      {0, 2, 100, 0.0, 1280, 50}, {0, 2, 100, 3.0, 1280, 15}, /* 30 steps in three passes of 10 */
      {0, 4, 100, 3.0, 1280, 7},                              /* never more */
      {0, 4, 100, 1.0, 2, 1},                                 /* but one, so that each round has a training */
      {0, 2, 0, 3.0, 1280, 0},                                /* devices that do not train */
      {9, 2, 100, 3.0, 1280, 9},                              /* the deck's word */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const ef_deck d = {
        .federation = {.steps = cases[i].most, .epochs = cases[i].epochs, .batch = 4, .context = 32},
        .rivals = {.steps = cases[i].steps, .rounds = cases[i].rounds}};
    cr_expect_eq(ef_rounds_steps(&d, cases[i].tokens), cases[i].expected, "case %zu: %zu", i,
                 ef_rounds_steps(&d, cases[i].tokens));
  }
}
