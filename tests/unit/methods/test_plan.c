#include "base/memory.h"
#include "methods/plan.h"
#include "methods/plan_memory.h"
#include "par/tree.h"
#include "par/units.h"
#include "sample.h"
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
  cr_assert_eq(ef_plan_make(&s.run, 1, &plan), EF_OK, "%s", ef_message());
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
  cr_assert_eq(ef_plan_make(&s.run, 1, &plan), EF_OK, "%s", ef_message());
  cr_expect_eq(plan.checkpoint_bytes, 4 * (2 * MOE_PARAMS + 2 * (MOE_PARAMS - 2 * 96)));
  sample_free(&s);
}

Test(plan, more_stages_than_layers_are_refused) {
  sample s;
  sample_make(&s, NULL);
  s.deck.fusion.stages = 2; /* the deck's own check refuses it first */
  ef_plan plan;
  cr_expect_eq(ef_plan_make(&s.run, 1, &plan), EF_DECK);
  cr_expect(strstr(ef_message(), "fusion.stages = 2, but the base has 1 layers"), "%s", ef_message());
  sample_free(&s);
  const char *none[] = {"fusion.features=none", "fusion.stages=2", NULL};
  sample_make(&s, none);
  cr_expect_eq(ef_plan_make(&s.run, 1, &plan), EF_OK, "%s", ef_message());
  sample_free(&s);
}

/* What a device is said to take against what a trainer with its model and text holds. */
Test(plan, device_bytes_are_those_that_are_allocated) {
  sample s;
  sample_make(&s, NULL);
  s.deck.federation.family_count = 1;
  ef_plan plan;
  cr_assert_eq(ef_plan_make(&s.run, 1, &plan), EF_OK, "%s", ef_message());
  size_t held = ef_memory_bytes();
  ef_model model;
  ef_trainer trainer;
  ef_stream slice = {.count = 18};
  ef_recipe recipe = {.steps = 10, .batch = 2, .context = 8, .holdout = &slice};
  ef_source source = {0};
  cr_assert_eq(ef_model_create(&s.outcome.population.dims[0], &model), EF_OK);
  cr_assert_eq(ef_trainer_create(&model, s.run.kernels, &recipe, &source, NULL, &trainer), EF_OK, "%s",
               ef_message());
  double allocated = (double)(ef_memory_bytes() - held);
  cr_expect_float_eq((double)plan.device_bytes, allocated, 0.05 * allocated, "%zu planned, %g held",
                     plan.device_bytes, allocated);
  ef_trainer_free(&trainer);
  ef_model_free(&model);
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
