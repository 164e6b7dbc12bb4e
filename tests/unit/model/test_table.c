/* The table of tensors: names as Hugging Face's, every float owned once, what one product serves side by
 * side. */
#include "base/memory.h"
#include "cases.h"
#include "model/weights.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_key(const ef_tensor *a, const ef_tensor *b) {
  return a->role == b->role && a->layer == b->layer && a->expert == b->expert;
}

static void check_table(const char *name, const ef_dims *d, const ef_table *table) {
  char *owned = calloc(table->floats, 1);
  size_t total = 0;
  for (size_t i = 0; i < table->count; i++) {
    const ef_tensor *t = &table->tensors[i];
    size_t size = t->shape[0] * (t->rank == 2 ? t->shape[1] : 1);
    total += t->count;
    cr_expect_eq(t->count, size, "%s: %s", name, t->name);
    cr_expect_eq(ef_table_find(table, t->role, t->layer, t->expert), t);
    cr_expect_eq(ef_table_find_name(table, t->name), t, "%s: two tensors %s", name, t->name);
    if (t->offset == SIZE_MAX) continue;
    cr_assert_leq(t->offset + t->count, table->floats);
    cr_expect_eq(t->expert < 0, t->offset < table->shared, "%s: %s", name, t->name);
    for (size_t j = 0; j < t->count; j++)
      cr_assert_eq(owned[t->offset + j]++, 0, "%s: %s overlaps", name, t->name);
  }
  cr_expect_eq(total, ef_dims_params(d), "%s", name);
  free(owned);
}

static void check_adjacent(const ef_table *table, ef_role first, ef_role second, int layer, int expert) {
  const ef_tensor *a = ef_table_find(table, first, layer, expert),
                  *b = ef_table_find(table, second, layer, expert);
  if (!a || a->offset == SIZE_MAX) return;
  cr_assert(b, "%s has no neighbour", a->name);
  cr_expect_eq(b->offset, a->offset + a->count, "%s and %s", a->name, b->name);
}

static void check_neighbours(const ef_dims *d, const ef_table *table) {
  for (int l = 0; l < (int)d->L; l++) {
    check_adjacent(table, EF_T_Q_W, EF_T_K_W, l, -1);
    check_adjacent(table, EF_T_K_W, EF_T_V_W, l, -1);
    check_adjacent(table, EF_T_Q_B, EF_T_K_B, l, -1);
    check_adjacent(table, EF_T_K_B, EF_T_V_B, l, -1);
    check_adjacent(table, EF_T_GATE_W, EF_T_UP_W, l, -1);
    check_adjacent(table, EF_T_SHARED_GATE_W, EF_T_SHARED_UP_W, l, -1);
    for (int e = 0; e < (int)d->E; e++) check_adjacent(table, EF_T_EXPERT_GATE_W, EF_T_EXPERT_UP_W, l, e);
  }
}

Test(table, every_float_has_one_owner) {
  for (size_t i = 0; i < test_case_count; i++) {
    ef_model m = case_model(test_cases[i].config);
    check_table(test_cases[i].name, &m.dims, &m.table);
    check_neighbours(&m.dims, &m.table);
    ef_model_free(&m);
  }
  cr_expect_eq(ef_memory_blocks(), 0);
}

/* A shard has the shared tensors at the same place, and its experts behind them at regular distances. */
Test(table, shards_agree_on_the_shared_range) {
  ef_model whole = case_model(case_named("deepseek batch aux")->config), shard;
  const size_t first = 2, count = 3;
  cr_assert_eq(ef_model_create_shard(&whole.dims, first, count, &shard), EF_OK);
  check_table("shard", &shard.dims, &shard.table);
  cr_expect_eq(shard.table.shared, whole.table.shared);
  cr_expect_eq(shard.table.floats, shard.table.shared + 2 * count * shard.table.expert_floats);
  for (size_t i = 0; i < whole.table.count; i++) {
    const ef_tensor *a = &whole.table.tensors[i], *b = &shard.table.tensors[i];
    cr_assert(same_key(a, b));
    cr_expect_str_eq(a->name, b->name);
    if (a->expert < 0) {
      cr_expect_eq(a->offset, b->offset);
      continue;
    }
    size_t e = (size_t)b->expert, moe = (size_t)b->layer - 1; /* layer 0 is dense */
    bool held = e >= first && e < first + count;
    cr_expect_eq(b->offset != SIZE_MAX, held, "%s", b->name);
    cr_expect_eq(ef_model_tensor(&shard, b->role, b->layer, b->expert) != NULL, held);
    if (held && b->role == EF_T_EXPERT_GATE_W) {
      cr_expect_eq(b->offset, shard.table.shared + (moe * count + e - first) * shard.table.expert_floats);
    }
  }
  ef_model_free(&shard);
  cr_expect_eq(ef_model_create_shard(&whole.dims, 5, 2, &shard), EF_FAULT);
  ef_model_free(&whole);
}

static void expect_tensor(const char *kind, size_t index, const char *name, size_t rows, size_t columns) {
  ef_model m = case_model(case_named(kind)->config);
  const ef_tensor *t = ef_table_find_name(&m.table, name);
  cr_assert(t, "%s has no %s", kind, name);
  cr_expect_eq((size_t)(t - m.table.tensors), index, "%s is not at place %zu of the state dict but %zu", name,
               index, (size_t)(t - m.table.tensors));
  cr_expect(t->shape[0] == rows && (columns ? t->shape[1] == columns : t->rank == 1), "%s", name);
  ef_model_free(&m);
}

Test(table, names_shapes_and_order_are_hugging_face_s) {
  expect_tensor("gpt2", 0, "transformer.wte.weight", 37, 20);
  expect_tensor("gpt2", 1, "transformer.wpe.weight", 16, 20);
  expect_tensor("gpt2", 4, "transformer.h.0.attn.c_attn.weight", 20, 60);
  expect_tensor("gpt2", 22, "transformer.h.1.mlp.c_fc.weight", 20, 80);
  expect_tensor("gpt2", 27, "transformer.ln_f.bias", 20, 0);
  expect_tensor("gpt2 untied, n_inner", 28, "lm_head.weight", 37, 20);
  expect_tensor("bloom", 1, "transformer.word_embeddings_layernorm.weight", 24, 0);
  expect_tensor("bloom", 5, "transformer.h.0.self_attention.query_key_value.weight", 72, 24);
  expect_tensor("bloom", 13, "transformer.h.0.mlp.dense_4h_to_h.weight", 24, 96);
  expect_tensor("llama", 1, "model.layers.0.self_attn.q_proj.weight", 24, 24);
  expect_tensor("llama", 8, "model.layers.0.input_layernorm.weight", 24, 0);
  expect_tensor("llama", 20, "lm_head.weight", 37, 24);
  expect_tensor("qwen2 tied, grouped", 4, "model.layers.0.self_attn.k_proj.bias", 12, 0);
  expect_tensor("olmo", 15, "lm_head.weight", 37, 24);
  expect_tensor("qwen2_moe", 8, "model.layers.0.mlp.gate.weight", 6, 24);
  expect_tensor("qwen2_moe", 9, "model.layers.0.mlp.experts.0.gate_proj.weight", 10, 24);
  expect_tensor("qwen2_moe", 26, "model.layers.0.mlp.experts.5.down_proj.weight", 24, 10);
  expect_tensor("qwen2_moe", 27, "model.layers.0.mlp.shared_expert.gate_proj.weight", 14, 24);
  expect_tensor("qwen2_moe", 30, "model.layers.0.mlp.shared_expert_gate.weight", 1, 24);
  expect_tensor("deepseek", 5, "model.layers.0.mlp.experts.0.gate_proj.weight", 10, 24);
  expect_tensor("deepseek", 23, "model.layers.0.mlp.gate.weight", 6, 24);
  expect_tensor("deepseek", 24, "model.layers.0.mlp.shared_experts.gate_proj.weight", 20, 24);
}

Test(table, resolved_offsets_are_those_of_the_table) {
  ef_model m = case_model(case_named("qwen2_moe tied, mlp_only")->config);
  ef_weights at;
  cr_assert_eq(ef_weights_resolve(&m.dims, &at), EF_OK);
  for (int l = -1; l < (int)m.dims.L; l++) {
    for (int r = 0; r < EF_ROLE_COUNT; r++) {
      cr_expect_eq(ef_weight(&at, m.params, l, (ef_role)r), ef_model_tensor(&m, (ef_role)r, l, -1));
    }
  }
  ef_weights_free(&at);
  ef_model_free(&m);
}

static double deviation(const ef_model *m, ef_role role, int layer) {
  const ef_tensor *t = ef_table_find(&m->table, role, layer, -1);
  double sum = 0.0;
  for (size_t i = 0; i < t->count; i++) sum += pow((double)m->params[t->offset + i], 2.0);
  return sqrt(sum / (double)t->count);
}

Test(init, laws_of_the_families) {
  const ef_shape shape = {.V = 400, .D = 64, .L = 2, .H = 4, .max_positions = 16, .E = 8, .K = 2, .Fe = 8};
  ef_shape dense = shape;
  ef_dims d;
  ef_model m;
  dense.E = 0;
  cr_assert_eq(ef_dims_make(EF_GPT2, &dense, &d), EF_OK);
  cr_assert_eq(ef_model_create(&d, &m), EF_OK);
  ef_model_init(&m, 3, 0);
  cr_expect_float_eq(deviation(&m, EF_T_EMBED, -1), 0.02, 5e-4);
  cr_expect_float_eq(deviation(&m, EF_T_O_W, 1), 0.01, 5e-4);
  cr_expect_float_eq(deviation(&m, EF_T_DOWN_W, 0), 0.01, 5e-4);
  cr_expect_eq(deviation(&m, EF_T_QKV_B, 0), 0.0);
  cr_expect_eq(deviation(&m, EF_T_NORM1_W, 0), 1.0);
  ef_model_free(&m);
  cr_assert_eq(ef_dims_make(EF_DEEPSEEK, &shape, &d), EF_OK);
  d.has_pad = true;
  d.pad = 7;
  cr_assert_eq(ef_model_create(&d, &m), EF_OK);
  ef_model_init(&m, 3, 0);
  const float *router = ef_model_tensor(&m, EF_T_ROUTER_W, 1, -1),
              *embed = ef_model_tensor(&m, EF_T_EMBED, -1, -1);
  cr_expect_float_eq(deviation(&m, EF_T_ROUTER_W, 1), 0.125 / sqrt(3.0), 5e-3);
  for (int i = 0; i < 512; i++) cr_expect_leq(fabsf(router[i]), 0.125f);
  for (int i = 0; i < 64; i++) cr_expect(embed[7 * 64 + i] == 0.0f && embed[6 * 64 + i] != 0.0f);
  ef_model_free(&m);
}

Test(init, a_shard_is_a_part_of_the_whole) {
  const ef_shape shape = {
      .V = 40, .D = 16, .L = 2, .H = 2, .max_positions = 16, .E = 5, .K = 2, .Fe = 8, .Fs = 8};
  ef_dims d;
  ef_model whole, shard, other;
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, &d), EF_OK);
  cr_assert_eq(ef_model_create(&d, &whole), EF_OK);
  cr_assert_eq(ef_model_create_shard(&d, 3, 2, &shard), EF_OK);
  cr_assert_eq(ef_model_create(&d, &other), EF_OK);
  ef_model_init(&whole, 11, 4);
  ef_model_init(&shard, 11, 4);
  ef_model_init(&other, 11, 5);
  for (size_t i = 0; i < d.L * shape.E; i++) {
    int layer = (int)(i / shape.E), e = (int)(i % shape.E);
    const float *a = ef_model_tensor(&whole, EF_T_EXPERT_UP_W, layer, e);
    const float *b = ef_model_tensor(&shard, EF_T_EXPERT_UP_W, layer, e);
    cr_expect_neq(memcmp(a, ef_model_tensor(&other, EF_T_EXPERT_UP_W, layer, e), 512), 0);
    if (b) cr_expect_arr_eq(a, b, 8 * 16 * sizeof *a);
  }
  cr_expect_arr_eq(whole.params, shard.params, whole.table.shared * sizeof(float));
  ef_model_free(&whole);
  ef_model_free(&shard);
  ef_model_free(&other);
}
