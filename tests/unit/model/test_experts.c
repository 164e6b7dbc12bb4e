/* The experts computed elsewhere give the same bits: an implementation that takes them one by one, each in
 * buffers of its own, as the rank that holds the expert would. */
#include "cases.h"
#include "model/loss.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { R = CASE_B * CASE_T };

typedef struct elsewhere {
  const ef_model *model;
  const ef_kernels *k;
  float *grads;
  size_t calls;
} elsewhere;

/* One expert from copies of its rows; with dys backward, otherwise forward. */
static void one_expert(const elsewhere *c, size_t layer, size_t e, size_t n, const float *xs,
                       const float *dys, float *out) {
  size_t D = c->model->dims.D, Fe = c->model->dims.Fe;
  const ef_tensor *gate = ef_table_find(&c->model->table, EF_T_EXPERT_GATE_W, (int)layer, (int)e);
  const ef_tensor *down = ef_table_find(&c->model->table, EF_T_EXPERT_DOWN_W, (int)layer, (int)e);
  const float *w = c->model->params;
  float *x = malloc(n * D * sizeof *x), *gu = malloc(n * 2 * Fe * sizeof *gu),
        *act = malloc(n * Fe * sizeof *act);
  float *y = malloc(n * D * sizeof *y), *dgu = malloc(n * 2 * Fe * sizeof *dgu),
        *dact = malloc(n * Fe * sizeof *y);
  memcpy(x, xs, n * D * sizeof *x);
  ef_expert_forward(c->k, n, D, Fe, w + gate->offset, w + down->offset, x, gu, act, y);
  if (dys) {
    ef_expert_backward(c->k, n, D, Fe, w + gate->offset, w + down->offset, x, gu, act, dys,
                       c->grads + gate->offset, c->grads + down->offset, y, dgu, dact);
  }
  memcpy(out, y, n * D * sizeof *y);
  free(x), free(gu), free(act), free(y), free(dgu), free(dact);
}

static ef_status forward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                         float *ys) {
  elsewhere *c = ctx;
  size_t D = c->model->dims.D, row = 0;
  c->calls++;
  for (size_t e = 0; e < c->model->dims.E; row += count[e++]) {
    if (count[e]) one_expert(c, layer, e, count[e], xs + row * D, NULL, ys + row * D);
  }
  return EF_CHECK(row == rows, EF_FAULT, "%zu rows, counted %zu", rows, row);
}

static ef_status backward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                          const float *dys, float *dxs) {
  elsewhere *c = ctx;
  size_t D = c->model->dims.D, row = 0;
  for (size_t e = 0; e < c->model->dims.E; row += count[e++]) {
    if (count[e]) one_expert(c, layer, e, count[e], xs + row * D, dys + row * D, dxs + row * D);
  }
  return EF_CHECK(row == rows, EF_FAULT, "%zu rows, counted %zu", rows, row);
}

static void train_once(const ef_model *m, const ef_kernels *k, const ef_experts *experts, float *grads,
                       float *final) {
  int32_t ids[R], targets[R];
  ef_pass *pass;
  ef_loss_sums sums = {0};
  float *dfinal = calloc(R * m->dims.D, sizeof *dfinal);
  case_batch(ids, targets);
  ef_loss_spec spec = {.targets = targets, .ce_scale = 0.1f};
  cr_assert_eq(ef_pass_create(&m->dims, k, EF_PASS_TRAIN, CASE_B, CASE_T, false, experts, &pass), EF_OK);
  cr_assert_eq(ef_forward(pass, m, ids, CASE_B, CASE_T), EF_OK);
  memcpy(final, ef_pass_final(pass), R * m->dims.D * sizeof *final);
  ef_loss(pass, m, &spec, grads, dfinal, NULL, &sums);
  cr_assert_eq(ef_backward(pass, m, dfinal, NULL, 1.0f, grads), EF_OK);
  ef_pass_free(pass);
  free(dfinal);
}

static void compare_places(const char *name, const char *backend) {
  const ef_kernels *k = ef_kernels_find(backend);
  if (!k) return;
  ef_model m = case_model(case_named(name)->config);
  size_t n = m.table.floats, f = R * m.dims.D;
  float *here = calloc(n, sizeof *here), *there = calloc(n, sizeof *there);
  float *final_here = calloc(f, sizeof *here), *final_there = calloc(f, sizeof *there);
  elsewhere c = {.model = &m, .k = k, .grads = there};
  const ef_experts experts = {.ctx = &c, .forward = forward, .backward = backward};
  train_once(&m, k, NULL, here, final_here);
  train_once(&m, k, &experts, there, final_there);
  cr_expect_eq(c.calls, ef_dims_moe_count(&m.dims));
  cr_expect_eq(memcmp(here, there, n * sizeof *here), 0, "%s, %s: gradients differ", name, backend);
  cr_expect_eq(memcmp(final_here, final_there, f * sizeof *here), 0, "%s, %s: outputs differ", name, backend);
  ef_model_free(&m);
  free(here), free(there), free(final_here), free(final_there);
}

Test(experts, the_same_bits_wherever_they_are_computed) {
  static const char *const backends[] = {"ref", "blas"};
  for (size_t b = 0; b < 2; b++) {
    compare_places("qwen2_moe", backends[b]);
    compare_places("qwen2_moe sparse step", backends[b]);
    compare_places("deepseek batch aux", backends[b]);
    compare_places("deepseek one of six", backends[b]);
  }
}

Test(experts, loads_count_every_choice) {
  ef_model m = case_model(case_named("deepseek batch aux")->config);
  int32_t ids[R], targets[R];
  ef_pass *pass;
  case_batch(ids, targets);
  cr_assert_eq(
      ef_pass_create(&m.dims, ef_kernels_find("ref"), EF_PASS_EVAL, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  cr_assert_eq(ef_forward(pass, &m, ids, CASE_B, CASE_T), EF_OK);
  cr_expect_null(ef_pass_load(pass, 0), "layer 0 is dense");
  cr_expect_null(ef_pass_router(pass, 1).logits, "not kept in evaluation");
  ef_router_view v = ef_pass_router(pass, 2);
  for (size_t e = 0; e < m.dims.E; e++) {
    size_t chosen = 0;
    for (size_t i = 0; i < R * m.dims.K; i++) chosen += v.experts[i] == (int32_t)e;
    cr_expect_eq(ef_pass_load(pass, 2)[e], chosen);
  }
  ef_pass_free(pass);
  ef_model_free(&m);
}

/* The router's logits are its matrix times the input of the FFN. */
Test(experts, the_input_of_the_ffn_can_be_read) {
  ef_model m = case_model(case_named("deepseek")->config);
  int32_t ids[R], targets[R];
  size_t D = m.dims.D, E = m.dims.E;
  const ef_kernels *k = ef_kernels_find("ref");
  ef_pass *pass;
  case_batch(ids, targets);
  cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_TRAIN, CASE_B, CASE_T, false, NULL, &pass), EF_OK);
  cr_assert_eq(ef_forward(pass, &m, ids, CASE_B, CASE_T), EF_OK);
  const float *x = ef_pass_ffn_input(pass, 1), *w = ef_model_tensor(&m, EF_T_ROUTER_W, 1, -1);
  for (size_t i = 0; i < R * E; i++) {
    double logit = 0.0;
    for (size_t j = 0; j < D; j++) logit += (double)w[i % E * D + j] * (double)x[i / E * D + j];
    cr_expect_float_eq(ef_pass_router(pass, 1).logits[i], logit, 1e-5);
  }
  ef_pass_free(pass);
  ef_model_free(&m);
}

/* A pass that computes all experts itself cannot run on a shard. */
Test(experts, a_shard_alone_is_refused) {
  ef_model whole = case_model(case_named("deepseek")->config), shard;
  int32_t ids[R], targets[R];
  ef_pass *pass;
  case_batch(ids, targets);
  cr_assert_eq(ef_model_create_shard(&whole.dims, 1, 2, &shard), EF_OK);
  cr_assert_eq(
      ef_pass_create(&whole.dims, ef_kernels_find("ref"), EF_PASS_EVAL, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  cr_expect_eq(ef_forward(pass, &shard, ids, CASE_B, CASE_T), EF_FAULT);
  ef_pass_free(pass);
  ef_model_free(&whole);
  ef_model_free(&shard);
}
