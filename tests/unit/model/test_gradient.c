/* Gradients of every tensor against central differences of the plain transformer, along random directions. */
#include "cases.h"
#include "model/exits.h"
#include "plain.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { R = CASE_B * CASE_T };

enum { MOST_L = 7 };

/* What is differentiated: ce * (sum CE + sum_e exits_e * sum CE at exit e) + aux * (weighted auxiliary loss)
 * + sum_l <tap_l, hidden_l>. */
typedef struct objective {
  float ce, aux;
  const float *exits;           /* weights of the early exits; NULL: none is trained */
  const float *tap[MOST_L + 1]; /* (L+1) of (R,D), or NULL */
  int32_t ids[R], targets[R];
} objective;

static double value(const objective *o, const ef_model *m, const double *params) {
  plain p;
  size_t n = R * m->dims.D;
  plain_forward(&p, &m->dims, &m->table, params, o->ids, CASE_B, CASE_T);
  double weight = m->dims.aux == EF_AUX_POOLED ? (double)m->dims.aux_coef : 1.0;
  double sum = (double)o->ce * plain_cross_entropy(&p, o->targets) + (double)o->aux * weight * plain_aux(&p);
  for (size_t e = 0; o->exits && e < ef_dims_exit_count(&m->dims); e++) {
    size_t after = ef_dims_exit_after(&m->dims, e);
    sum += (double)o->ce * (double)o->exits[e] * plain_exit_cross_entropy(&p, after, o->targets);
  }
  for (size_t l = 0; l <= m->dims.L; l++) {
    for (size_t i = 0; o->tap[l] && i < n; i++) sum += (double)o->tap[l][i] * p.hidden[l * n + i];
  }
  plain_free(&p);
  return sum;
}

/* Backward of the early exits: `taps` (L+1,R,D) holds the taps of the objective and gets theirs. */
static void exit_gradients(const objective *o, const ef_model *m, ef_pass *pass, float *taps, float *grads) {
  size_t n = R * m->dims.D;
  for (size_t e = 0; o->exits && e < ef_dims_exit_count(&m->dims); e++) {
    ef_loss_spec spec = {.targets = o->targets, .ce_scale = o->ce * o->exits[e]};
    ef_loss_sums sums = {0};
    ef_exit_loss(pass, m, e, &spec, grads, taps + ef_dims_exit_after(&m->dims, e) * n, NULL, &sums);
  }
}

static float *gradients(const objective *o, const ef_model *m, const char *backend) {
  ef_pass *pass;
  ef_loss_spec spec = {.targets = o->targets, .ce_scale = o->ce};
  ef_loss_sums sums = {0};
  float *grads = calloc(m->table.floats, sizeof *grads), *dfinal = calloc(R * m->dims.D, sizeof *dfinal);
  float *all = calloc((m->dims.L + 1) * R * m->dims.D, sizeof *all);
  const float *at[MOST_L + 1];
  const ef_taps taps = {.at = at};
  for (size_t l = 0, n = R * m->dims.D; l <= m->dims.L; l++) {
    at[l] = o->tap[l] || o->exits ? all + l * n : NULL;
    if (o->tap[l]) memcpy(all + l * n, o->tap[l], n * sizeof *all);
  }
  cr_assert_eq(
      ef_pass_create(&m->dims, ef_kernels_find(backend), EF_PASS_TRAIN, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  cr_assert_eq(ef_forward(pass, m, o->ids, CASE_B, CASE_T), EF_OK);
  ef_loss(pass, m, &spec, grads, dfinal, NULL, &sums);
  exit_gradients(o, m, pass, all, grads);
  cr_assert_eq(ef_backward(pass, m, dfinal, &taps, o->aux, grads), EF_OK);
  ef_pass_free(pass);
  free(all);
  free(dfinal);
  return grads;
}

/* Error of one tensor's gradient along a random direction, relative to a typical size of that product. */
static double direction_error(const objective *o, const ef_model *m, double *params, const ef_tensor *t,
                              const float *grads) {
  const double step = 1e-4;
  float *u = malloc(t->count * sizeof *u);
  double ours = 0.0, norm_g = 0.0, norm_u = 0.0, side[2];
  test_fill(u, t->count, 1.0f, 900 + (unsigned)(t - m->table.tensors));
  for (int i = 0; i < 2; i++) {
    double h = i ? -step : step;
    for (size_t j = 0; j < t->count; j++) params[t->offset + j] += h * (double)u[j];
    side[i] = value(o, m, params);
    for (size_t j = 0; j < t->count; j++) params[t->offset + j] -= h * (double)u[j];
  }
  for (size_t j = 0; j < t->count; j++) {
    double g = (double)grads[t->offset + j];
    ours += g * (double)u[j];
    norm_g += g * g;
    norm_u += (double)u[j] * (double)u[j];
  }
  free(u);
  double theirs = (side[0] - side[1]) / (2.0 * step), typical = sqrt(norm_g * norm_u / (double)t->count);
  return fabs(ours - theirs) / (fmax(fabs(theirs), typical) + 1e-4);
}

static double check_case(const test_case *c, const objective *o, const char *backend) {
  ef_model m = case_model(c->config);
  double *params = plain_params(&m), worst = 0.0;
  float *grads = gradients(o, &m, backend);
  for (size_t i = 0; i < m.table.count; i++) {
    double error = direction_error(o, &m, params, &m.table.tensors[i], grads);
    cr_expect(error < 2e-3, "%s, %s: gradient of %s is off by %.1e", c->name, backend,
              m.table.tensors[i].name, error);
    worst = fmax(worst, error);
  }
  free(params);
  free(grads);
  ef_model_free(&m);
  return worst;
}

static void check_all(const char *backend) {
  objective o = {.ce = 1.0f / 14.0f, .aux = 1.0f};
  double worst = 0.0;
  if (!ef_kernels_find(backend)) cr_skip_test("this backend is not here");
  case_batch(o.ids, o.targets);
  for (size_t i = 0; i < test_case_count; i++) worst = fmax(worst, check_case(&test_cases[i], &o, backend));
  cr_log_info("%s: worst gradient error along a direction %.1e\n", backend, worst);
}

Test(gradient, of_every_family_and_option_ref) { check_all("ref"); }
Test(gradient, of_every_family_and_option_blas) { check_all("blas"); }

/* Poisoned outputs and canaries: nothing is read before it is written, nothing is written past its end. */
Test(gradient, of_every_family_and_option_guarded) { check_all("guard"); }

Test(gradient, taps_enter_the_residual_stream) {
  static const char *const names[] = {"gpt2", "bloom", "deepseek", "olmo tied, grouped"};
  objective o = {.ce = 0.0f, .aux = 0.0f};
  float taps[3][R * 24];
  case_batch(o.ids, o.targets);
  for (unsigned l = 0; l < 3; l++) {
    test_fill(taps[l], R * 24, 0.3f, 40 + l);
    o.tap[l] = taps[l];
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) check_case(case_named(names[i]), &o, "ref");
  o.tap[1] = NULL;
  check_case(case_named("llama"), &o, "ref");
}

static void check_exits(const char *backend) {
  static const char *const names[] = {"gpt2 with an exit",    "bloom with an exit",
                                      "llama with an exit",   "olmo tied, with an exit",
                                      "qwen2_moe with exits", "deepseek tied, with exits"};
  const float weights[] = {0.7f, 1.9f};
  objective o = {.ce = 1.0f / 14.0f, .aux = 1.0f, .exits = weights};
  double worst = 0.0;
  if (!ef_kernels_find(backend)) cr_skip_test("this backend is not here");
  case_batch(o.ids, o.targets);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    worst = fmax(worst, check_case(case_named(names[i]), &o, backend));
  }
  cr_log_info("%s: worst gradient error with exits %.1e\n", backend, worst);
}

Test(gradient, of_early_exits_ref) { check_exits("ref"); }
Test(gradient, of_early_exits_blas) { check_exits("blas"); }
Test(gradient, of_early_exits_guarded) { check_exits("guard"); }

/* The gradient of an exit joins what is in its tap already. */
Test(gradient, of_early_exits_beside_other_taps) {
  const float weights[] = {0.5f, 0.8f};
  objective o = {.ce = 0.1f, .aux = 0.0f, .exits = weights};
  float tap[R * 24];
  case_batch(o.ids, o.targets);
  test_fill(tap, R * 24, 0.3f, 60);
  o.tap[1] = tap;
  check_case(case_named("qwen2_moe with exits"), &o, "ref");
  check_case(case_named("gpt2 with an exit"), &o, "ref");
}

/* With many micro-batches each carries its share of the auxiliary loss. */
Test(gradient, aux_scale_weighs_the_auxiliary_loss) {
  objective o = {.ce = 0.02f, .aux = 0.25f};
  case_batch(o.ids, o.targets);
  check_case(case_named("qwen2_moe"), &o, "ref");
  check_case(case_named("deepseek batch aux"), &o, "ref");
  check_case(case_named("deepseek"), &o, "ref");
}

/* Gradients are added: a second backward doubles them. */
Test(gradient, gradients_accumulate) {
  objective o = {.ce = 0.1f, .aux = 1.0f};
  case_batch(o.ids, o.targets);
  ef_model m = case_model(case_named("qwen2_moe tied, mlp_only")->config);
  float *once = gradients(&o, &m, "ref"), *twice = calloc(m.table.floats, sizeof *twice);
  float *dfinal = calloc(R * m.dims.D, sizeof *dfinal);
  ef_pass *pass;
  ef_loss_spec spec = {.targets = o.targets, .ce_scale = o.ce};
  ef_loss_sums sums = {0};
  cr_assert_eq(
      ef_pass_create(&m.dims, ef_kernels_find("ref"), EF_PASS_TRAIN, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  for (int i = 0; i < 2; i++) {
    cr_assert_eq(ef_forward(pass, &m, o.ids, CASE_B, CASE_T), EF_OK);
    ef_loss(pass, &m, &spec, twice, dfinal, NULL, &sums);
    cr_assert_eq(ef_backward(pass, &m, dfinal, NULL, o.aux, twice), EF_OK);
  }
  for (size_t i = 0; i < m.table.floats; i++) once[i] *= 2.0f;
  cr_expect_lt(test_rel_frobenius(twice, once, m.table.floats), 1e-6);
  cr_expect_eq(sums.tokens, 28);
  ef_pass_free(pass);
  ef_model_free(&m);
  free(once);
  free(twice);
  free(dfinal);
}

/* torch's padding_idx: nothing from the look-up reaches the row of the pad token; all else is unchanged. */
Test(gradient, the_pad_row_gets_nothing_from_the_input) {
  objective o = {.ce = 0.1f, .aux = 1.0f};
  case_batch(o.ids, o.targets);
  ef_model m = case_model(case_named("llama")->config);
  float *without = gradients(&o, &m, "ref");
  m.dims.has_pad = true;
  m.dims.pad = o.ids[3];
  float *with = gradients(&o, &m, "ref");
  size_t row = (size_t)m.dims.pad * m.dims.D;
  double sum = 0.0;
  for (size_t i = 0; i < m.table.floats; i++) {
    bool pad = i >= row && i < row + m.dims.D; /* the embedding stands first in the block */
    cr_assert_eq(with[i], pad ? 0.0f : without[i], "float %zu", i);
    if (pad) sum += fabs((double)without[i]);
  }
  cr_expect_gt(sum, 0.0);
  ef_model_free(&m);
  free(with);
  free(without);
}
