/* What phases count: tokens and FLOPs by closed formula. */
#include "train/units.h"
#include <criterion/criterion.h>

/* Llama of width 8: a layer has 4*8*8 numbers of attention and 3*8*16 of its FFN, two norms of 8; the last
 * norm and the head of 32*8. The input embedding is only looked up. */
enum { T = 10, BATCH = 3, MULTIPLIED = 2 * (256 + 384 + 16) + 8 + 256 };

static ef_dims dims_of(size_t layers) {
  ef_shape shape = {.V = 32, .D = 8, .L = layers, .H = 2, .F = 16, .max_positions = 16};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &dims), EF_OK, "%s", ef_message());
  return dims;
}

static ef_trainer trainer_at(ef_model *model, size_t step, size_t restored) {
  return (ef_trainer){
      .model = model, .recipe = {.batch = BATCH, .context = T}, .step = step, .restored = restored};
}

/* 2 FLOPs a parameter, 2 L T D for half of a square of scores and as much for the weighted sum. */
Test(units, a_forward_pass_is_a_third_of_a_step) {
  ef_dims dims = dims_of(2);
  double wanted = 2.0 * MULTIPLIED + 2.0 * 2 * T * 8;
  cr_expect_float_eq(ef_forward_flops_per_token(&dims, T), wanted, 1e-9);
  cr_expect_float_eq(ef_train_cost(&dims, 4, BATCH, T), 3.0 * wanted * 4 * BATCH * T, 1e-6);
}

Test(units, a_teacher_adds_flops_to_the_steps_of_this_start) {
  ef_model model = {.dims = dims_of(2)};
  ef_dims teacher = dims_of(1);
  ef_trainer trainer = trainer_at(&model, 7, 2);
  ef_effort effort = {0};
  double forward = 2.0 * (256 + 384 + 16 + 8 + 256) + 2.0 * T * 8, tokens = 5 * BATCH * T;
  ef_effort_add(&effort, &trainer);
  cr_expect(effort.tokens == tokens && effort.steps == 5.0);
  double student = effort.flops;
  cr_expect_float_eq(student, tokens * (6.0 * MULTIPLIED + 6.0 * 2 * T * 8), 1e-6);
  ef_effort_add_teacher(&effort, &trainer, &teacher);
  cr_expect(effort.tokens == tokens && effort.steps == 5.0);
  cr_expect_float_eq(effort.flops - student, tokens * forward, 1e-6);
}

Test(units, a_trainer_that_was_not_made_adds_nothing) {
  ef_trainer none = {0};
  ef_effort effort = {0};
  ef_dims teacher = dims_of(1);
  ef_effort_add(&effort, &none);
  ef_effort_add_teacher(&effort, &none, &teacher);
  cr_expect(effort.flops == 0.0 && effort.steps == 0.0);
}
