/* Costs of inference against closed forms written from the shapes. */
#include "model/cost.h"
#include <criterion/criterion.h>

static ef_table table_of(const ef_dims *dims) {
  ef_table table = {0};
  cr_assert_eq(ef_table_build(dims, 0, dims->E, &table), EF_OK);
  return table;
}

Test(cost, dense_llama) {
  ef_dims d;
  ef_shape shape = {.V = 100, .D = 24, .L = 3, .H = 4, .G = 2, .F = 40, .max_positions = 16};
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &d), EF_OK);
  ef_table table = table_of(&d);
  ef_token_cost c = ef_layer_token_cost(&d, &table, 1);
  double params = 24 * 24 + 2 * 12 * 24 + 24 * 24 + 3 * 24 * 40;
  cr_assert_eq(c.flops, 2 * params);
  cr_assert_eq(c.weight_bytes, 4 * (params + 2 * 24));
  cr_assert_eq(c.attention_flops, 4 * 24);
  cr_assert_eq(c.cache_bytes, 4 * 2 * 12);
  cr_assert_eq(c.out_bytes, 4 * 24);
  cr_assert_eq(c.expert_bytes, 0);
  cr_assert_eq(ef_batch_weight_bytes(&d, &c, 1000), c.weight_bytes);
  ef_token_cost head = ef_head_token_cost(&d, &table);
  cr_assert_eq(head.flops, 2 * 100 * 24);
  cr_assert_eq(head.weight_bytes, 4 * (100 * 24 + 24));
  ef_table_free(&table);
}

Test(cost, experts_count_while_active) {
  ef_dims d;
  ef_shape shape = {
      .V = 50, .D = 16, .L = 2, .H = 2, .G = 2, .max_positions = 16, .E = 8, .K = 2, .Fe = 12, .Fs = 20};
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, &d), EF_OK);
  ef_table table = table_of(&d);
  ef_token_cost c = ef_layer_token_cost(&d, &table, 0);
  double attention = 4 * 16 * 16, router = 8 * 16, expert = 3 * 12 * 16, shared = 3 * 20 * 16 + 16;
  double small = 2 * 16 + 3 * 16; /* two norms, biases of q, k and v */
  cr_assert_eq(c.flops, 2 * (attention + router + 2 * expert + shared));
  cr_assert_eq(c.expert_bytes, 4 * 2 * expert);
  cr_assert_eq(c.weight_bytes, 4 * (attention + router + 2 * expert + shared + small));
  cr_assert_eq(ef_batch_weight_bytes(&d, &c, 1), c.weight_bytes);
  cr_assert_eq(ef_batch_weight_bytes(&d, &c, 3), c.weight_bytes + 4 * 4 * expert);
  cr_assert_eq(ef_batch_weight_bytes(&d, &c, 500), c.weight_bytes + 4 * 6 * expert);
  ef_table_free(&table);
}

/* 2 FLOPs per active parameter that multiplies: a third of the 6 of a trained token, attention left out. */
Test(cost, agrees_with_training) {
  ef_dims d;
  ef_shape shape = {.V = 64, .D = 32, .L = 4, .H = 4, .F = 128, .max_positions = 64};
  cr_assert_eq(ef_dims_make(EF_GPT2, &shape, &d), EF_OK);
  ef_table table = table_of(&d);
  double sum = ef_head_token_cost(&d, &table).flops;
  size_t small = 0;
  for (size_t l = 0; l < d.L; l++) sum += ef_layer_token_cost(&d, &table, l).flops;
  for (size_t i = 0; i < table.count; i++) small += table.tensors[i].rank == 1 ? table.tensors[i].count : 0;
  double attention = 6.0 * 4 * 10 * 32;
  cr_assert_float_eq(sum + 2.0 * (double)small, (ef_dims_flops_per_token(&d, 10) - attention) / 3.0, 1e-6);
  ef_table_free(&table);
}
