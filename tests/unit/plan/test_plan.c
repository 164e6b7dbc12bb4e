#include "base/memory.h"
#include "par/tree.h"
#include "par/units.h"
#include "plan/memory.h"
#include "plan/plan.h"
#include "support/sample.h"
#include "train/trainer.h"
#include <criterion/criterion.h>
#include <string.h>

/* Llama, V=32 D=8 F=16: 256 + (8 + 4*64 + 8 + 3*128) + 8 + 256 = 1176. Qwen MoE, two experts of width 4 and a
 * shared one of 4: 256 + (8 + 3*64 + 24 + 64) + (8 + 16 + 2*96 + 96 + 8) + 8 + 256 = 1128; one expert less
 * for a token. */
Test(plan, params_bytes_and_steps) {
  sample s;
  sample_make(&s, NULL);
  s.deck.federation.family_count = 1; /* llama alone */
  ef_plan plan;
  cr_assert_eq(ef_plan_make(&s.run, ef_method_find("deepfusion"), (ef_layout){1, 1}, &plan), EF_OK, "%s",
               ef_message());
  cr_expect_eq(plan.params, MOE_PARAMS);
  cr_expect_eq(plan.active_params, MOE_ACTIVE);
  cr_expect_eq(plan.upload_bytes, 2 * (LLAMA_PARAMS * 4 + 32)); /* device 2 fails */
  cr_expect_eq(plan.total_steps, 2 * 3 + 5);
  cr_expect_eq(plan.sequential_steps, 3 + 5);
  cr_expect_float_eq(plan.device_tokens, 2 * 10 * 2 * 8, 0.0);
  cr_expect_float_eq(plan.server_tokens, (2 * 3 * 2 + 5 * 4) * 8, 0.0);
  cr_expect_eq(plan.checkpoint_bytes, 4 * 4 * MOE_PARAMS); /* parameters, two moments, the best so far */
  cr_expect_geq(plan.peak_bytes, plan.start_bytes);
  s.deck.federation.family_count = 2;
  sample_free(&s);
}

Test(plan, frozen_experts_have_no_moments) {
  const char *overrides[] = {"tune.experts=false", NULL};
  sample s;
  sample_make(&s, overrides);
  ef_plan plan;
  cr_assert_eq(ef_plan_make(&s.run, ef_method_find("deepfusion"), (ef_layout){1, 1}, &plan), EF_OK, "%s",
               ef_message());
  cr_expect_eq(plan.checkpoint_bytes, 4 * (2 * MOE_PARAMS + 2 * (MOE_PARAMS - 2 * 96)));
  sample_free(&s);
}

Test(plan, more_stages_than_layers_are_refused) {
  sample s;
  sample_make(&s, NULL);
  s.deck.fusion.stages = 2; /* the deck's own check refuses it first */
  ef_plan plan;
  cr_expect_eq(ef_plan_make(&s.run, ef_method_find("deepfusion"), (ef_layout){1, 1}, &plan), EF_DECK);
  cr_expect(strstr(ef_message(), "fusion.stages = 2, but the base has 1 layers"), "%s", ef_message());
  sample_free(&s);
  const char *none[] = {"fusion.features=none", "fusion.stages=2", NULL};
  sample_make(&s, none);
  cr_expect_eq(ef_plan_make(&s.run, ef_method_find("deepfusion"), (ef_layout){1, 1}, &plan), EF_OK, "%s",
               ef_message());
  sample_free(&s);
}

/* ---- every method by hand ------------------------------------------------------------------------------ */

/* Llama alone. Devices 0 and 1 train, 10 steps of 2 * 8 tokens at most, in 2 rounds of 5 with the global
 * model; a step of it on the server has 4 * 8 tokens, 2 * 3 steps before and 5 after. The base is a qwen2 of
 * width 8 with 4 hidden units: 256 + (8 + 4*64 + 24 + 8 + 3*32) + 8 + 256 = 912. The public text has 10 and
 * 20 tokens in 4 windows of 8. */
enum { BASE_PARAMS = 912, DEVICES = 2, ROUNDS = 2, PUBLIC = 10 + 20, SCORED = PUBLIC - 2, WINDOWS = 4 };
enum { DEVICE_STEP = 2 * 8, LOCAL = DEVICES * 10 * DEVICE_STEP, STEP = 4 * 8, PRETRAINED = 4 * DEVICE_STEP };

/* FLOPs of a token in training: 6 for every number that it meets, the embedding aside, and 6 D for every
 * position of the context. */
static const double OF_LLAMA = 6.0 * (LLAMA_PARAMS - 32 * 8) + 6.0 * 8 * 8;
static const double OF_MOE = 6.0 * (MOE_ACTIVE - 32 * 8) + 6.0 * 8 * 8;
static const double OF_BASE = 6.0 * (BASE_PARAMS - 32 * 8) + 6.0 * 8 * 8;

static ef_status try_plan(const char *method, const char *const *set, ef_plan *plan) {
  const char *overrides[8] = {"text.public_holdout=0", "tune.kl=0"};
  for (size_t i = 0; set && set[i]; i++) overrides[2 + i] = set[i];
  sample s;
  sample_make(&s, overrides);
  s.deck.federation.family_count = 1;
  s.run.public_text.count = PUBLIC;
  ef_status status = ef_plan_make(&s.run, ef_method_find(method), (ef_layout){1, 1}, plan);
  s.deck.federation.family_count = 2;
  sample_free(&s);
  return status;
}

#define SET(...) ((const char *const[]){__VA_ARGS__, NULL})

static ef_plan plan_of(const char *method, const char *const *set) {
  ef_plan plan;
  cr_assert_eq(try_plan(method, set, &plan), EF_OK, "%s: %s", method, ef_message());
  return plan;
}

static void expect_traffic(const ef_plan *plan, uint64_t up, uint64_t down) {
  cr_expect_eq(plan->upload_bytes, up, "%llu up", (unsigned long long)plan->upload_bytes);
  cr_expect_eq(plan->download_bytes, down, "%llu down", (unsigned long long)plan->download_bytes);
}

static void expect_work(const ef_plan *plan, size_t steps, size_t sequential, size_t device_tokens,
                        size_t server_tokens, double flops) {
  cr_expect_eq(plan->total_steps, steps, "%zu steps", plan->total_steps);
  cr_expect_eq(plan->sequential_steps, sequential, "%zu in sequence", plan->sequential_steps);
  cr_expect_float_eq(plan->device_tokens, (double)device_tokens, 0.0, "%g tokens", plan->device_tokens);
  cr_expect_float_eq(plan->server_tokens, (double)server_tokens, 0.0, "%g tokens", plan->server_tokens);
  cr_expect_float_eq(plan->flops, flops, 1e-9 * flops, "%.9g FLOP, not %.9g", plan->flops, flops);
}

/* Pretraining of the base, and the control with its 11 steps. */
static double common_flops(void) { return PRETRAINED * OF_BASE + 11 * STEP * OF_MOE; }

Test(plan, fusion_by_hand) {
  ef_plan plan = plan_of("deepfusion", NULL), taught = plan_of("deepfusion", SET("tune.kl=0.5"));
  ef_plan ofakd = plan_of("ofakd", SET("fusion.features=ofa"));
  size_t server_tokens = 2 * 3 * DEVICE_STEP + 5 * STEP;
  double flops = common_flops() + (PRETRAINED + LOCAL) * OF_LLAMA + 5 * STEP * OF_MOE +
                 2 * 3 * DEVICE_STEP * (OF_BASE + OF_LLAMA / 3.0);
  size_t parts = LLAMA_PARAMS * (1 + DEVICES + 2 * 2) + BASE_PARAMS * 3 + MOE_PARAMS * 3;
  expect_traffic(&plan, DEVICES * (LLAMA_PARAMS * 4 + 32), 0);
  expect_work(&plan, 2 * 3 + 5, 3 + 5, LOCAL, server_tokens, flops);
  cr_expect_eq(plan.part_bytes, 4 * parts);
  expect_traffic(&ofakd, plan.upload_bytes, 0);
  expect_work(&ofakd, 2 * 3 + 5, 3 + 5, LOCAL, server_tokens, flops);
  /* Each device reads the 30 tokens in 7 windows of 8 that overlap by half, and answers in a byte for each of
   * the 32 tokens of the vocabulary. */
  cr_expect_float_eq(taught.flops, flops + 2 * 7 * 8 * OF_LLAMA / 3.0, 1e-9 * flops);
  cr_expect_eq(taught.part_bytes, plan.part_bytes + PUBLIC * 32);
}

Test(plan, rounds_by_hand) {
  const double flops = common_flops() + (11 * STEP + LOCAL) * OF_MOE;
  const uint64_t whole = DEVICES * ROUNDS * MOE_PARAMS * 4, pruned = DEVICES * ROUNDS * (MOE_PARAMS - 96) * 4;
  ef_plan all = plan_of("fedavg", NULL), half = plan_of("fedavg", SET("federation.wire=bfloat16"));
  ef_plan one = plan_of("fedjets", SET("rivals.experts=1")),
          single = plan_of("fedavg", SET("rivals.steps=1"));
  expect_traffic(&all, whole, whole);
  expect_traffic(&half, whole / 2, whole / 2);
  expect_traffic(&one, pruned, pruned + DEVICES * BASE_PARAMS * 4);
  expect_work(&all, 11, 11, LOCAL, 11 * STEP, flops);
  expect_work(&one, 11, 11, LOCAL, 11 * STEP, flops); /* of two experts a token has one anyway */
  expect_work(&single, 11, 11, LOCAL / 5, 11 * STEP, flops - 0.8 * LOCAL * OF_MOE);
  cr_expect_eq(all.part_bytes, 4 * (BASE_PARAMS + MOE_PARAMS * (3 + DEVICES + ROUNDS)));
  cr_expect_eq(one.part_bytes, all.part_bytes - 4 * DEVICES * 96);
  cr_expect_eq(all.checkpoint_bytes, 4 * 4 * MOE_PARAMS);
  ef_plan averaged = plan_of("fedavg", SET("tune.average=0.5"));
  cr_expect_eq(averaged.checkpoint_bytes, all.checkpoint_bytes + 4 * MOE_PARAMS);
}

/* 4 logits of 8 bytes for a scored token, of 6 in bfloat16, and 4 bytes for a window. The server makes its
 * set before each round, and after the last if something goes down; all its steps are in the rounds. */
Test(plan, logits_by_hand) {
  const uint64_t set = SCORED * 4 * 8 + 4 * WINDOWS, half_set = SCORED * 4 * 6 + 4 * WINDOWS;
  const size_t lessons = DEVICES * ROUNDS * 3 * DEVICE_STEP;
  const double forward = WINDOWS * 8 / 3.0;
  ef_plan up = plan_of("fedkmt", SET("rivals.top_k=4", "rivals.device_steps=0"));
  ef_plan both = plan_of("fedkmt", SET("rivals.top_k=4", "rivals.device_steps=3"));
  ef_plan half = plan_of("fedkmt", SET("rivals.top_k=4", "federation.wire=bfloat16", "rivals.rounds=1"));
  double flops = common_flops() + (PRETRAINED + LOCAL) * OF_LLAMA + 11 * STEP * OF_MOE +
                 ROUNDS * forward * (OF_MOE + DEVICES * OF_LLAMA);
  expect_traffic(&up, DEVICES * ROUNDS * set, 0);
  expect_traffic(&both, DEVICES * ROUNDS * set, DEVICES * ROUNDS * set);
  expect_traffic(&half, DEVICES * half_set, DEVICES * half_set);
  expect_work(&up, 11, 11, LOCAL, 11 * STEP, flops);
  flops += forward * OF_MOE + (double)lessons * OF_LLAMA;
  expect_work(&both, 11, 11, LOCAL + lessons, 11 * STEP, flops);
  size_t models = LLAMA_PARAMS * (1 + DEVICES) + BASE_PARAMS + MOE_PARAMS * (2 + ROUNDS - 1);
  cr_expect_eq(up.part_bytes, 4 * models + (2 * ROUNDS + DEVICES) * set);
  cr_expect_eq(both.part_bytes, up.part_bytes + set + 4 * ROUNDS * DEVICES * LLAMA_PARAMS);
}

Test(plan, bounds_by_hand) {
  ef_plan central = plan_of("central", SET("rivals.central_steps=7")), lower = plan_of("public_only", NULL);
  ef_plan equal = plan_of("central", NULL);
  const size_t tokens = 11 * STEP + 3 * 10 * DEVICE_STEP; /* three devices, though one will fail */
  cr_expect_eq(equal.total_steps, tokens / STEP);
  expect_traffic(&central, 0, 0);
  expect_work(&central, 7, 7, 0, 7 * STEP, common_flops() + 7 * STEP * OF_MOE);
  cr_expect_eq(central.part_bytes, 4 * (BASE_PARAMS + 2 * MOE_PARAMS));
  cr_expect_eq(central.device_bytes, 0);
  expect_traffic(&lower, 0, 0);
  expect_work(&lower, 11, 11, 0, 11 * STEP, common_flops()); /* it is the control, and has none */
  cr_expect_eq(lower.part_bytes, 4 * (BASE_PARAMS + MOE_PARAMS));
}

Test(plan, what_a_method_cannot_do_is_refused) {
  const char *too_much[] = {"rivals.experts=3", "rivals.top_k=33", NULL};
  ef_plan plan;
  cr_expect_eq(try_plan("fedjets", too_much, &plan), EF_DECK);
  cr_expect_str_eq(ef_message(), "rivals.experts (3) must be at most global.experts (2)", "%s", ef_message());
  cr_expect_eq(try_plan("fedkmt", too_much, &plan), EF_DECK);
  cr_expect_str_eq(ef_message(), "rivals.top_k = 33, but the vocabulary has 32 tokens", "%s", ef_message());
  cr_expect_eq(try_plan("fedavg", too_much, &plan), EF_OK, "%s", ef_message());
}

Test(plan, stages_are_of_fusions_alone) {
  sample s;
  ef_plan plan;
  sample_make(&s, NULL);
  s.deck.fusion.stages = 2;
  cr_expect_eq(ef_plan_make(&s.run, ef_method_find("fedkmt"), (ef_layout){1, 1}, &plan), EF_OK, "%s",
               ef_message());
  sample_free(&s);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* What a device is said to take against what a trainer with its model and text holds. */
static void expect_device_bytes(const sample *s, const char *method, const ef_dims *dims, size_t steps) {
  ef_plan plan;
  cr_assert_eq(ef_plan_make(&s->run, ef_method_find(method), (ef_layout){1, 1}, &plan), EF_OK, "%s",
               ef_message());
  size_t held = ef_memory_bytes();
  ef_model model;
  ef_trainer trainer;
  ef_stream slice = {.count = 18};
  ef_recipe recipe = {.steps = steps, .batch = 2, .context = 8, .holdout = &slice};
  ef_source source = {0};
  cr_assert_eq(ef_model_create(dims, &model), EF_OK);
  cr_assert_eq(ef_trainer_create(&model, s->run.kernels, &recipe, &source, NULL, &trainer), EF_OK, "%s",
               ef_message());
  double allocated = (double)(ef_memory_bytes() - held);
  cr_expect_float_eq((double)plan.device_bytes, allocated, 0.05 * allocated, "%s: %zu planned, %g held",
                     method, plan.device_bytes, allocated);
  ef_trainer_free(&trainer);
  ef_model_free(&model);
}

Test(plan, device_bytes_are_those_that_are_allocated) {
  const char *one[] = {"rivals.experts=1", NULL};
  sample s;
  sample_make(&s, one);
  s.deck.federation.family_count = 1;
  ef_dims pruned = s.outcome.global;
  pruned.held = 1;
  expect_device_bytes(&s, "deepfusion", &s.outcome.population.dims[0], 10);
  expect_device_bytes(&s, "fedkmt", &s.outcome.population.dims[0], 10);
  expect_device_bytes(&s, "fedavg", &s.outcome.global, 5);
  expect_device_bytes(&s, "fedjets", &pruned, 5);
  s.deck.federation.family_count = 2;
  sample_free(&s);
}

/* The same leaves in a real tree: its buffers are what its memory grows by. */
static size_t buffers_of(size_t units, int ranks, bool all) {
  enum { FLOATS = 1 << 14 };
  ef_tree *tree;
  size_t held = ef_memory_bytes(), slots = (units + (size_t)ranks - 1) / (size_t)ranks;
  cr_assert_eq(ef_tree_create(units, FLOATS, 1, &tree), EF_OK);
  for (size_t slot = 0; slot < slots; slot++) {
    float *leaf[8] = {NULL};
    for (int r = 0; r < (all ? ranks : 1); r++) {
      if (ef_block_first(units, ranks, r) + slot < ef_block_first(units, ranks, r + 1)) {
        cr_assert_eq(ef_tree_leaf(tree, &leaf[r]), EF_OK);
      }
    }
    for (int r = 0; r < (all ? ranks : 1); r++) {
      if (leaf[r]) cr_assert_eq(ef_tree_add(tree, ef_block_first(units, ranks, r) + slot, leaf[r]), EF_OK);
    }
  }
  size_t buffers = (ef_memory_bytes() - held) / (FLOATS * sizeof(float));
  ef_tree_free(tree);
  return buffers;
}

Test(plan, tree_buffers_are_those_that_a_tree_takes) {
  for (size_t units = 1; units <= 17; units++) {
    for (int ranks = 1; ranks <= 4; ranks++) {
      for (int all = 0; all < 2; all++) {
        size_t wanted = buffers_of(units, ranks, all), planned = ef_plan_tree_buffers(units, ranks, all);
        cr_expect_eq(planned, wanted, "%zu units, %d ranks: %zu planned, %zu taken", units, ranks, planned,
                     wanted);
      }
    }
  }
}

/* 2 MiB for libraries; for each other rank half of one, or a quarter for each rank that shares a core, at
 * most 4; and the counted bytes with their fiftieth. A shared file adds 1 MiB and its own bytes, at most 4
 * MiB. */
Test(plan, resident_bytes_by_hand) {
  enum { MIB = 1 << 20 };
  cr_expect_eq(ef_plan_resident(0, 0, 1, 0), 2 * MIB);
  cr_expect_eq(ef_plan_resident(50000000, 0, 1, 0), 2 * MIB + 51000000);
  cr_expect_eq(ef_plan_resident(50000000, 3, 0.5, 0), 2 * MIB + 3 * MIB / 2 + 51000000);
  cr_expect_eq(ef_plan_resident(0, 3, 2, 0), 2 * MIB + 3 * MIB / 2);
  cr_expect_eq(ef_plan_resident(0, 3, 8, 0), 2 * MIB + 3 * 2 * MIB);
  cr_expect_eq(ef_plan_resident(0, 3, 100, 0), 2 * MIB + 3 * 4 * MIB);
  cr_expect_eq(ef_plan_resident(100, 0, 1, 3000), 2 * MIB + MIB + 3000 + 102);
  cr_expect_eq(ef_plan_resident(100, 1, 1, 9 * MIB), 2 * MIB + MIB / 2 + MIB + 4 * MIB + 102);
}
