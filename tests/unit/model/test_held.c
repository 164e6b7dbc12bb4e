/* Models that hold the first experts only: what they store, and what reaches the routers of the others.
 * Outputs and gradients of every tensor are held to the plain transformer with the cases of test_forward and
 * test_gradient. */
#include "cases.h"
#include "model/cost.h"
#include "model/loss.h"
#include "plain.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { R = CASE_B * CASE_T };

static ef_dims small(ef_family family, size_t held) {
  const ef_shape shape = {
      .V = 50, .D = 16, .L = 3, .H = 2, .max_positions = 16, .E = 8, .K = 2, .Fe = 12, .Fs = 24};
  ef_dims d;
  cr_assert_eq(ef_dims_make(family, &shape, &d), EF_OK, "%s", ef_message());
  d.held = held;
  return d;
}

Test(held, between_the_experts_of_a_token_and_all) {
  ef_dims d = small(EF_QWEN2_MOE, 0), dense;
  const size_t good[] = {0, 2, 5, 8}, bad[] = {1, 9};
  for (size_t i = 0; i < 4; i++) {
    d.held = good[i];
    cr_expect_eq(ef_dims_check(&d), EF_OK, "%zu: %s", d.held, ef_message());
  }
  for (size_t i = 0; i < 2; i++) {
    d.held = bad[i];
    cr_expect_eq(ef_dims_check(&d), EF_INPUT, "%zu", d.held);
    cr_expect(strstr(ef_message(), "of 8 experts are held"), "%s", ef_message());
  }
  cr_assert_eq(
      ef_dims_make(EF_LLAMA, &(ef_shape){.V = 9, .D = 8, .L = 2, .H = 2, .max_positions = 4}, &dense), EF_OK);
  dense.held = 1;
  cr_expect_eq(ef_dims_check(&dense), EF_INPUT);
  cr_expect(strstr(ef_message(), "there are none"), "%s", ef_message());
}

Test(held, only_what_is_stored_is_counted) {
  for (size_t held = 2; held <= 8; held++) {
    ef_dims all = small(EF_DEEPSEEK, 0), some = small(EF_DEEPSEEK, held);
    size_t expert = 3 * 16 * 12, stored = 0;
    ef_model m;
    cr_expect_eq(ef_dims_params(&some), ef_dims_params(&all) - 3 * (8 - held) * expert);
    cr_expect_eq(ef_dims_active_params(&some), ef_dims_active_params(&all));
    cr_assert_eq(ef_model_create(&some, &m), EF_OK, "%s", ef_message());
    for (size_t i = 0; i < m.table.count; i++) stored += m.table.tensors[i].count;
    cr_expect_eq(stored, ef_dims_params(&some));
    cr_expect_null(ef_model_tensor(&m, EF_T_EXPERT_UP_W, 1, (int)held));
    cr_expect_not_null(ef_model_tensor(&m, EF_T_EXPERT_UP_W, 1, (int)held - 1));
    cr_expect_eq(ef_table_find(&m.table, EF_T_ROUTER_W, 1, -1)->shape[0], 8, "routers stay whole");
    ef_token_cost cost = ef_layer_token_cost(&some, &m.table, 0);
    cr_expect_float_eq(cost.expert_bytes, 4 * 2 * (double)expert, 1e-6);
    cr_expect_float_eq(ef_batch_weight_bytes(&some, &cost, 100) - cost.weight_bytes,
                       4 * (double)((held - 2) * expert), 1e-6, "a batch meets those held");
    ef_model_free(&m);
  }
}

Test(held, a_shard_has_no_more_than_is_held) {
  ef_dims d = small(EF_QWEN2_MOE, 3);
  ef_model m;
  cr_expect_eq(ef_model_create_shard(&d, 2, 2, &m), EF_FAULT);
  cr_assert_eq(ef_model_create_shard(&d, 1, 2, &m), EF_OK);
  ef_model_free(&m);
}

/* Gradient and final states of one batch; the caller frees both. */
static float *train_once(const ef_model *m, const char *backend, float *final) {
  int32_t ids[R], targets[R];
  ef_pass *pass;
  ef_loss_sums sums = {0};
  float *grads = calloc(m->table.floats, sizeof *grads), *dfinal = calloc(R * m->dims.D, sizeof *dfinal);
  case_batch(ids, targets);
  ef_loss_spec spec = {.targets = targets, .ce_scale = 0.1f};
  cr_assert_eq(
      ef_pass_create(&m->dims, ef_kernels_find(backend), EF_PASS_TRAIN, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  cr_assert_eq(ef_forward(pass, m, ids, CASE_B, CASE_T), EF_OK, "%s", ef_message());
  memcpy(final, ef_pass_final(pass), R * m->dims.D * sizeof *final);
  for (size_t e = ef_dims_held(&m->dims); e < m->dims.E; e++)
    cr_expect_eq(ef_pass_load(pass, m->dims.L - 1)[e], 0, "expert %zu is not held", e);
  ef_loss(pass, m, &spec, grads, dfinal, NULL, &sums);
  cr_assert_eq(ef_backward(pass, m, dfinal, NULL, 1.0f, grads), EF_OK, "%s", ef_message());
  ef_pass_free(pass);
  free(dfinal);
  return grads;
}

/* Holding all of them is no restriction: the same choice from the same probabilities. */
static void compare_all_held(const char *name, const char *backend) {
  if (!ef_kernels_find(backend)) return;
  ef_model m = case_model(case_named(name)->config);
  size_t n = m.table.floats, f = R * m.dims.D;
  float *final = malloc(2 * f * sizeof *final), *free_choice = train_once(&m, backend, final);
  m.dims.held = m.dims.E;
  float *all_held = train_once(&m, backend, final + f);
  cr_expect_eq(memcmp(final, final + f, f * sizeof *final), 0, "%s, %s: outputs", name, backend);
  cr_expect_eq(memcmp(free_choice, all_held, n * sizeof *all_held), 0, "%s, %s: gradients", name, backend);
  ef_model_free(&m);
  free(final), free(free_choice), free(all_held);
}

Test(held, all_of_them_gives_the_bits_of_a_free_choice) {
  compare_all_held("qwen2_moe", "ref");
  compare_all_held("qwen2_moe", "blas");
  compare_all_held("deepseek norm_topk", "ref");
  compare_all_held("deepseek batch aux", "blas");
}

/* Loss of the plain transformer, the auxiliary loss included. */
static double value(const ef_model *m, const double *params) {
  int32_t ids[R], targets[R];
  plain p;
  case_batch(ids, targets);
  plain_forward(&p, &m->dims, &m->table, params, ids, CASE_B, CASE_T);
  double weight = m->dims.aux == EF_AUX_POOLED ? (double)m->dims.aux_coef : 1.0;
  double sum = (double)0.1f * plain_cross_entropy(&p, targets) + weight * plain_aux(&p);
  plain_free(&p);
  return sum;
}

/* Each row of an expert that is not held along the input of the router: only the softmax carries it. */
static void check_rows(const char *name, const char *backend) {
  if (!ef_kernels_find(backend)) return;
  ef_model m = case_model(case_named(name)->config);
  const ef_tensor *router = ef_table_find(&m.table, EF_T_ROUTER_W, (int)m.dims.L - 1, -1);
  size_t D = m.dims.D;
  double *params = plain_params(&m);
  float *final = malloc(R * D * sizeof *final), *grads = train_once(&m, backend, final), u[64];
  double reached = 0.0;
  for (size_t e = m.dims.held; e < m.dims.E; e++) {
    double ours = 0.0, norm = 0.0, side[2], *row = params + router->offset + e * D;
    test_fill(u, D, 1.0f, 70 + (unsigned)e);
    for (int s = 0; s < 2; s++) {
      double h = s ? -1e-4 : 1e-4;
      for (size_t i = 0; i < D; i++) row[i] += h * (double)u[i];
      side[s] = value(&m, params);
      for (size_t i = 0; i < D; i++) row[i] -= h * (double)u[i];
    }
    for (size_t i = 0; i < D; i++) {
      double g = (double)grads[router->offset + e * D + i];
      ours += g * (double)u[i];
      norm += g * g;
    }
    double theirs = (side[0] - side[1]) / 2e-4;
    cr_expect_float_eq(ours, theirs, 2e-3 * fmax(fabs(theirs), sqrt(norm)), "%s, %s: row %zu: %g, not %g",
                       name, backend, e, ours, theirs);
    reached += sqrt(norm);
  }
  cr_expect_gt(reached, 1e-4, "%s: the softmax reaches the rows that are not held", name);
  ef_model_free(&m);
  free(params), free(grads), free(final);
}

Test(held, the_softmax_reaches_the_other_rows_of_the_router) {
  const char *const backends[] = {"ref", "blas", "guard"};
  for (size_t b = 0; b < 3; b++) {
    check_rows("qwen2_moe, four held", backends[b]);
    check_rows("deepseek batch aux, two held", backends[b]);
  }
}

/* Weights that are divided by their sum, and no auxiliary loss: what is common to all probabilities cancels,
 * so nothing reaches the rows of the others. */
Test(held, normed_weights_do_not_feel_the_others) {
  ef_model m = case_model(case_named("qwen2_moe norm_topk, three held")->config);
  m.dims.aux = EF_AUX_NONE;
  size_t D = m.dims.D;
  const ef_tensor *router = ef_table_find(&m.table, EF_T_ROUTER_W, 0, -1);
  float *final = malloc(R * D * sizeof *final), *grads = train_once(&m, "ref", final);
  double inside = 0.0, outside = 0.0;
  for (size_t i = 0; i < m.dims.E * D; i++) {
    double g = fabs((double)grads[router->offset + i]);
    if (i / D < m.dims.held) inside = fmax(inside, g);
    if (i / D >= m.dims.held) outside = fmax(outside, g);
  }
  cr_expect_gt(inside, 1e-3);
  cr_expect_lt(outside, 1e-6 * inside);
  ef_model_free(&m);
  free(grads), free(final);
}
