/* Early exits: heads of truncated models, losses of the plain transformer, a table and a config that leave
 * models without exits as they are. */
#include "base/memory.h"
#include "cases.h"
#include "model/exits.h"
#include "model/hf.h"
#include "plain.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { R = CASE_B * CASE_T };

static const char *const with_exits[] = {"gpt2 with an exit",    "bloom with an exit",
                                         "llama with an exit",   "olmo tied, with an exit",
                                         "qwen2_moe with exits", "deepseek tied, with exits"};
enum { KINDS = sizeof with_exits / sizeof *with_exits };

/* The model of the first layers before exit `exit`, whose final norm is that of the exit. */
static ef_model truncated(const ef_model *m, size_t exit) {
  ef_dims d = m->dims;
  ef_model cut;
  d.L = ef_dims_exit_after(&m->dims, exit);
  memset(d.exits, 0, sizeof d.exits);
  cr_assert_eq(ef_model_create(&d, &cut), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < cut.table.count; i++) {
    const ef_tensor *t = &cut.table.tensors[i];
    ef_role role = t->role == EF_T_FINAL_NORM_W   ? EF_T_EXIT_NORM_W
                   : t->role == EF_T_FINAL_NORM_B ? EF_T_EXIT_NORM_B
                                                  : t->role;
    const float *from = ef_model_tensor(m, role, role == t->role ? t->layer : (int)d.L - 1, t->expert);
    cr_assert(from, "%s", t->name);
    memcpy(cut.params + t->offset, from, t->count * sizeof *from);
  }
  return cut;
}

static ef_pass *run(const ef_model *m, ef_pass_kind kind, const char *backend) {
  int32_t ids[R], targets[R];
  ef_pass *pass;
  case_batch(ids, targets);
  cr_assert_eq(ef_pass_create(&m->dims, ef_kernels_find(backend), kind, CASE_B, CASE_T, true, NULL, &pass),
               EF_OK, "%s", ef_message());
  cr_assert_eq(ef_forward(pass, m, ids, CASE_B, CASE_T), EF_OK);
  return pass;
}

static void compare_with_truncated(const char *name, const char *backend, ef_pass_kind kind) {
  ef_model m = case_model(case_named(name)->config);
  ef_pass *pass = run(&m, kind, backend);
  float ours[R * CASE_V], theirs[R * CASE_V];
  for (size_t e = 0; e < ef_dims_exit_count(&m.dims); e++) {
    ef_model cut = truncated(&m, e);
    ef_pass *other = run(&cut, kind, backend);
    ef_exit_hidden(pass, &m, e);
    ef_exit_logits(pass, &m, 0, R, ours);
    ef_logits(other, &cut, 0, R, theirs);
    cr_expect_eq(memcmp(ours, theirs, sizeof ours), 0, "%s, %s: logits of exit %zu", name, backend, e);
    cr_expect_eq(memcmp(ef_exit_final(pass), ef_pass_final(other), R * m.dims.D * sizeof(float)), 0);
    ef_exit_logits(pass, &m, 5, 1, ours);
    for (int v = 0; v < CASE_V; v++) cr_expect_float_eq(ours[v], theirs[5 * CASE_V + v], 1e-5f);
    ef_pass_free(other);
    ef_model_free(&cut);
  }
  ef_pass_free(pass);
  ef_model_free(&m);
}

Test(exits, an_exit_is_the_head_of_the_truncated_model) {
  static const char *const backends[] = {"ref", "blas", "guard"};
  for (size_t i = 0; i < KINDS; i++) {
    for (size_t b = 0; b < 3; b++) {
      if (!ef_kernels_find(backends[b])) continue;
      compare_with_truncated(with_exits[i], backends[b], EF_PASS_EVAL);
      compare_with_truncated(with_exits[i], backends[b], EF_PASS_TRAIN);
    }
  }
  cr_expect_eq(ef_memory_blocks(), 0);
}

Test(exits, losses_are_those_of_the_plain_transformer) {
  int32_t ids[R], targets[R];
  case_batch(ids, targets);
  for (size_t i = 0; i < KINDS; i++) {
    ef_model m = case_model(case_named(with_exits[i])->config);
    ef_pass *pass = run(&m, EF_PASS_EVAL, "ref");
    double *params = plain_params(&m);
    plain p;
    plain_forward(&p, &m.dims, &m.table, params, ids, CASE_B, CASE_T);
    for (size_t e = 0; e < ef_dims_exit_count(&m.dims); e++) {
      ef_loss_spec spec = {.targets = targets};
      ef_loss_sums sums = {.ce = 1.0, .tokens = 10};
      float rows[R];
      double wanted = plain_exit_cross_entropy(&p, ef_dims_exit_after(&m.dims, e), targets), sum = 0.0;
      ef_exit_loss(pass, &m, e, &spec, NULL, NULL, rows, &sums);
      for (int r = 0; r < R; r++) sum += targets[r] == EF_IGNORE ? 0.0 : (double)rows[r];
      cr_expect_float_eq(sums.ce - 1.0, wanted, 1e-5 * wanted, "%s: %g, not %g", with_exits[i], sums.ce - 1.0,
                         wanted);
      cr_expect_float_eq(sum, wanted, 1e-5 * wanted);
      cr_expect_eq(sums.tokens, 10 + R - CASE_B - 2);
    }
    plain_free(&p);
    free(params);
    ef_pass_free(pass);
    ef_model_free(&m);
  }
}

/* ---- models without exits are as before ------------------------------------------------------------------
 */

static void expect_equal_tensors(const ef_model *without, const ef_model *with, const float *a,
                                 const float *b) {
  for (size_t i = 0; i < without->table.count; i++) {
    const ef_tensor *s = &without->table.tensors[i], *t = &with->table.tensors[i];
    cr_assert_str_eq(s->name, t->name);
    cr_expect_eq(memcmp(a + s->offset, b + t->offset, s->count * sizeof *a), 0, "%s", s->name);
  }
}

static ef_model initial(ef_dims d, size_t after) {
  ef_model m;
  if (after) cr_assert_eq(ef_dims_add_exit(&d, after), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&d, &m), EF_OK, "%s", ef_message());
  ef_model_init(&m, 3, 1);
  return m;
}

Test(exits, other_tensors_start_from_equal_bits) {
  static const char *const names[] = {"gpt2", "bloom", "olmo", "qwen2_moe", "deepseek batch aux"};
  for (size_t i = 0; i < 5; i++) {
    ef_dims d;
    cr_assert_eq(ef_hf_read_config(case_named(names[i])->config, &d), EF_OK);
    ef_model without = initial(d, 0), with = initial(d, 1);
    expect_equal_tensors(&without, &with, without.params, with.params);
    size_t vectors = d.norm == EF_LAYERNORM ? 2 : d.norm == EF_RMSNORM ? 1 : 0;
    cr_expect_eq(with.table.count, without.table.count + vectors);
    cr_expect_eq(ef_dims_params(&with.dims), ef_dims_params(&d) + vectors * d.D);
    for (size_t v = 0; v < vectors; v++) {
      const ef_tensor *t = &with.table.tensors[without.table.count + v];
      cr_expect_str_eq(t->name, v ? "exits.1.norm.bias" : "exits.1.norm.weight");
      for (size_t j = 0; j < t->count; j++) cr_expect_eq(with.params[t->offset + j], v ? 0.0f : 1.0f);
    }
    ef_model_free(&without);
    ef_model_free(&with);
  }
}

static float *last_head_gradients(const ef_model *m) {
  int32_t ids[R], targets[R];
  case_batch(ids, targets);
  ef_pass *pass = run(m, EF_PASS_TRAIN, "blas");
  ef_loss_spec spec = {.targets = targets, .ce_scale = 0.1f};
  ef_loss_sums sums = {0};
  float *grads = calloc(m->table.floats, sizeof *grads), *dfinal = calloc(R * m->dims.D, sizeof *dfinal);
  ef_loss(pass, m, &spec, grads, dfinal, NULL, &sums);
  cr_assert_eq(ef_backward(pass, m, dfinal, NULL, 1.0f, grads), EF_OK);
  ef_pass_free(pass);
  free(dfinal);
  return grads;
}

Test(exits, an_untrained_exit_changes_no_other_gradient) {
  ef_dims d;
  if (!ef_kernels_find("blas")) cr_skip_test("the blas kernels are not here");
  cr_assert_eq(ef_hf_read_config(case_named("qwen2_moe")->config, &d), EF_OK);
  ef_model without = initial(d, 0), with = initial(d, 1);
  float *a = last_head_gradients(&without), *b = last_head_gradients(&with);
  expect_equal_tensors(&without, &with, a, b);
  const ef_tensor *norm = ef_table_find(&with.table, EF_T_EXIT_NORM_W, 0, -1);
  for (size_t j = 0; j < norm->count; j++) cr_expect_eq(b[norm->offset + j], 0.0f);
  free(a);
  free(b);
  ef_model_free(&without);
  ef_model_free(&with);
}

/* Exits take memory in passes that keep residuals, and the plan says how much; others stay as they are. */
Test(exits, memory_of_a_pass) {
  ef_dims d, with;
  cr_assert_eq(ef_hf_read_config(case_named("llama")->config, &d), EF_OK);
  with = d;
  cr_assert_eq(ef_dims_add_exit(&with, 1), EF_OK);
  size_t least = 4 * (R * d.D + R), most = 4 * (2 * R * d.D + 2 * R) + 4 * EF_ALIGN;
  size_t train = ef_pass_bytes(&with, EF_PASS_TRAIN, CASE_B, CASE_T, false) -
                 ef_pass_bytes(&d, EF_PASS_TRAIN, CASE_B, CASE_T, false);
  cr_expect(train >= 2 * least - 4 * R && train <= most, "%zu bytes", train);
  cr_expect_eq(ef_pass_bytes(&with, EF_PASS_EVAL, CASE_B, CASE_T, false),
               ef_pass_bytes(&d, EF_PASS_EVAL, CASE_B, CASE_T, false));
  cr_expect_geq(ef_pass_bytes(&with, EF_PASS_EVAL, CASE_B, CASE_T, true),
                ef_pass_bytes(&d, EF_PASS_EVAL, CASE_B, CASE_T, true) + least);
  cr_expect_eq(ef_pass_bytes(&with, EF_PASS_CACHE, 1, CASE_T, false),
               ef_pass_bytes(&d, EF_PASS_CACHE, 1, CASE_T, false));
}

/* ---- dims and config -------------------------------------------------------------------------------------
 */

Test(exits, dims_name_them) {
  const ef_shape shape = {.V = 100, .D = 16, .L = 70, .H = 4, .max_positions = 16};
  ef_dims d;
  cr_assert_eq(ef_dims_make(EF_LLAMA, &shape, &d), EF_OK);
  double flops = ef_dims_flops_per_token(&d, 16);
  cr_expect_eq(ef_dims_exit_count(&d), 0);
  cr_expect_eq(ef_dims_exit_after(&d, 0), 70);
  const size_t after[] = {1, 64, 65, 69};
  for (size_t e = 0; e < 4; e++) cr_assert_eq(ef_dims_add_exit(&d, after[e]), EF_OK, "%s", ef_message());
  cr_expect_eq(ef_dims_exit_count(&d), 4);
  for (size_t e = 0; e < 4; e++) cr_expect_eq(ef_dims_exit_after(&d, e), after[e]);
  cr_expect_eq(ef_dims_exit_after(&d, 4), 70);
  cr_expect(ef_dims_has_exit(&d, 0) && !ef_dims_has_exit(&d, 1) && ef_dims_has_exit(&d, 63));
  cr_expect_eq(ef_dims_check(&d), EF_OK);
  /* Four output matrices of (100,16) and four norms of 16 more, 6 FLOPs each. */
  cr_expect_float_eq(ef_dims_flops_per_token(&d, 16) - flops, 6.0 * 4.0 * (1600.0 + 16.0), 1e-3);
  cr_expect_eq(ef_dims_add_exit(&d, 69), EF_INPUT);
  cr_expect(strstr(ef_message(), "behind 69 layers follows one behind 69"), "%s", ef_message());
  d.exits[69 / 64] |= UINT64_C(1) << (69 % 64);
  cr_expect_eq(ef_dims_check(&d), EF_INPUT);
  cr_expect(strstr(ef_message(), "an early exit behind 70 of 70 layers"), "%s", ef_message());
}

/* The config of a case with these exits. */
static void config_with(const char *exits, char out[2048]) {
  const char *config = case_named("llama")->config;
  snprintf(out, 2048, "{\"edgefuse_exits\":%s,%s", exits, config + 1);
}

Test(exits, configs_say_where_they_stand) {
  for (size_t i = 0; i < KINDS; i++) {
    ef_dims d, again;
    char *text;
    cr_assert_eq(ef_hf_read_config(case_named(with_exits[i])->config, &d), EF_OK, "%s", ef_message());
    cr_assert_eq(ef_hf_write_config(&d, &text), EF_OK);
    cr_assert_eq(ef_hf_read_config(text, &again), EF_OK, "%s", ef_message());
    cr_expect_gt(ef_dims_exit_count(&d), 0);
    cr_expect_eq(memcmp(d.exits, again.exits, sizeof d.exits), 0, "%s", text);
    memset(d.exits, 0, sizeof d.exits);
    ef_free(text);
    cr_assert_eq(ef_hf_write_config(&d, &text), EF_OK);
    cr_expect_not(strstr(text, "edgefuse_exits"), "%s", text);
    ef_free(text);
  }
  cr_expect_eq(ef_memory_blocks(), 0);
}

Test(exits, configs_that_contradict_are_refused) {
  static const char *const wrong[][2] = {
      {"[0]", "behind 0 layers"},       {"[2]", "behind 2 layers; it must be from 1 to 1"},
      {"[1, 1]", "follows one behind"}, {"[-1]", "whole numbers"},
      {"[1.5]", "whole numbers"},       {"[\"1\"]", "whole numbers"},
      {"1", "must be a list"},          {"[99999999999999]", "behind 99999999999999 layers"}};
  char text[2048];
  ef_dims d;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    config_with(wrong[i][0], text);
    cr_expect_eq(ef_hf_read_config(text, &d), EF_INPUT, "%s", wrong[i][0]);
    cr_expect(strstr(ef_message(), "\"edgefuse_exits\"") && strstr(ef_message(), wrong[i][1]), "%s: %s",
              wrong[i][0], ef_message());
  }
  config_with("[]", text);
  cr_expect(ef_hf_read_config(text, &d) == EF_OK && ef_dims_exit_count(&d) == 0);
  config_with("null", text);
  cr_expect(ef_hf_read_config(text, &d) == EF_OK && ef_dims_exit_count(&d) == 0);
}
