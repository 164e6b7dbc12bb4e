/* Logits, router and auxiliary loss of every family and option against the plain transformer. */
#include "base/memory.h"
#include "cases.h"
#include "model/loss.h"
#include "plain.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const char *const backends[] = {"ref", "blas"};

/* Largest |ours - plain| relative to the largest |plain|. */
static double relative(const float *ours, const double *plain_values, size_t n) {
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < n; i++) {
    worst = fmax(worst, fabs((double)ours[i] - plain_values[i]));
    largest = fmax(largest, fabs(plain_values[i]));
    if (!isfinite(ours[i])) return INFINITY;
  }
  return worst / largest;
}

static void compare_with_plain(const test_case *c, const ef_model *m, const plain *p, const char *backend,
                               ef_pass_kind kind) {
  size_t R = CASE_B * CASE_T, n = R * m->dims.D;
  ef_pass *pass;
  float *logits = malloc(R * CASE_V * sizeof *logits);
  cr_assert_eq(ef_pass_create(&m->dims, ef_kernels_find(backend), kind, CASE_B, CASE_T, true, NULL, &pass),
               EF_OK);
  cr_assert_eq(ef_forward(pass, m, p->ids, CASE_B, CASE_T), EF_OK);
  ef_logits(pass, m, 0, R, logits);
  cr_expect(relative(logits, p->logits, R * CASE_V) < 1e-5, "%s, %s: logits", c->name, backend);
  cr_expect(relative(ef_pass_final(pass), p->final, n) < 1e-5, "%s, %s: final", c->name, backend);
  for (size_t l = 0; l <= m->dims.L; l++) {
    cr_expect(relative(ef_pass_residual(pass, l), p->hidden + l * n, n) < 1e-5, "%s, %s: hidden %zu", c->name,
              backend, l);
  }
  double aux = plain_aux(p), weight = m->dims.aux == EF_AUX_POOLED ? (double)m->dims.aux_coef : 1.0;
  cr_expect(fabs(ef_pass_aux(pass) - aux) <= 1e-6 * aux, "%s, %s: aux %g, not %g", c->name, backend,
            ef_pass_aux(pass), aux);
  cr_expect(fabs(ef_pass_aux_weighted(pass) - weight * aux) <= 1e-6 * aux);
  ef_pass_free(pass);
  free(logits);
}

Test(forward, every_family_and_option_is_the_plain_transformer) {
  int32_t ids[CASE_B * CASE_T], targets[CASE_B * CASE_T];
  case_batch(ids, targets);
  for (size_t i = 0; i < test_case_count; i++) {
    ef_model m = case_model(test_cases[i].config);
    double *params = plain_params(&m);
    plain p;
    plain_forward(&p, &m.dims, &m.table, params, ids, CASE_B, CASE_T);
    for (size_t b = 0; b < 2; b++) {
      if (!ef_kernels_find(backends[b])) continue;
      compare_with_plain(&test_cases[i], &m, &p, backends[b], EF_PASS_TRAIN);
      compare_with_plain(&test_cases[i], &m, &p, backends[b], EF_PASS_EVAL);
    }
    plain_free(&p);
    free(params);
    ef_model_free(&m);
  }
}

/* Tokens one by one through the cache: each row equals that of the whole sequence. */
Test(forward, the_cache_continues_a_sequence) {
  int32_t ids[CASE_B * CASE_T], targets[CASE_B * CASE_T];
  const ef_kernels *k = ef_kernels_find("ref");
  case_batch(ids, targets);
  for (size_t i = 0; i < test_case_count; i++) {
    ef_model m = case_model(test_cases[i].config);
    double *params = plain_params(&m);
    plain p;
    ef_pass *pass;
    plain_forward(&p, &m.dims, &m.table, params, ids, CASE_B, CASE_T);
    cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_CACHE, CASE_B, CASE_T, false, NULL, &pass), EF_OK);
    for (size_t t = 0; t < CASE_T; t += t ? 1 : 3) { /* three at once, then one by one */
      size_t n = t ? 1 : 3;
      int32_t part[CASE_B * 3];
      for (size_t b = 0; b < CASE_B; b++) {
        for (size_t j = 0; j < n; j++) part[b * n + j] = ids[b * CASE_T + t + j];
      }
      cr_assert_eq(ef_forward(pass, &m, part, CASE_B, n), EF_OK, "%s", ef_message());
      cr_assert_eq(ef_pass_cached(pass), t + n);
      for (size_t b = 0; b < CASE_B; b++) {
        const float *ours = ef_pass_final(pass) + ((b + 1) * n - 1) * m.dims.D;
        cr_expect(relative(ours, p.final + (b * CASE_T + t + n - 1) * m.dims.D, m.dims.D) < 1e-5,
                  "%s: token %zu", test_cases[i].name, t);
      }
    }
    cr_expect_neq(ef_forward(pass, &m, ids, 1, 1), EF_OK, "the cache is full");
    ef_pass_free(pass);
    plain_free(&p);
    free(params);
    ef_model_free(&m);
  }
}

/* A pass placed for a large batch serves a smaller one, with the same bits. */
Test(forward, a_pass_serves_smaller_batches) {
  int32_t ids[CASE_B * CASE_T], targets[CASE_B * CASE_T];
  case_batch(ids, targets);
  ef_model m = case_model(case_named("deepseek")->config);
  ef_pass *large, *small;
  const ef_kernels *k = ef_kernels_find("ref");
  cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_TRAIN, 5, 16, false, NULL, &large), EF_OK);
  cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_TRAIN, 1, 7, false, NULL, &small), EF_OK);
  cr_assert_eq(ef_forward(large, &m, ids, CASE_B, CASE_T), EF_OK);
  cr_assert_eq(ef_forward(large, &m, ids, 1, 7), EF_OK);
  cr_assert_eq(ef_forward(small, &m, ids, 1, 7), EF_OK);
  for (size_t i = 0; i < 7 * m.dims.D; i++) cr_assert_eq(ef_pass_final(large)[i], ef_pass_final(small)[i]);
  cr_expect_eq(ef_pass_aux(large), ef_pass_aux(small));
  ef_pass_free(large);
  ef_pass_free(small);
  ef_model_free(&m);
}

/* The plan is the layout of the run, and a step takes no memory beyond it. */
Test(forward, memory_is_planned_and_then_left_alone) {
  int32_t ids[CASE_B * CASE_T], targets[CASE_B * CASE_T];
  case_batch(ids, targets);
  ef_model m = case_model(case_named("qwen2_moe sparse step")->config);
  size_t before = ef_memory_bytes(), planned = ef_pass_bytes(&m.dims, EF_PASS_TRAIN, CASE_B, CASE_T, false);
  float *grads = calloc(m.table.floats, sizeof *grads),
        *dfinal = calloc(CASE_B * CASE_T * m.dims.D, sizeof *dfinal);
  ef_loss_spec spec = {.targets = targets, .ce_scale = 1.0f};
  ef_loss_sums sums = {0};
  ef_pass *pass;
  if (!ef_kernels_find("blas")) cr_skip_test("plans are for the blas kernels");
  cr_assert_eq(
      ef_pass_create(&m.dims, ef_kernels_find("blas"), EF_PASS_TRAIN, CASE_B, CASE_T, false, NULL, &pass),
      EF_OK);
  size_t taken = ef_memory_bytes() - before, offsets = (m.dims.L + 1) * EF_ROLE_COUNT * sizeof(size_t);
  cr_expect(taken >= planned && taken <= planned + offsets + 16384, "planned %zu, taken %zu", planned, taken);
  ef_memory_reset_peak();
  cr_assert_eq(ef_forward(pass, &m, ids, CASE_B, CASE_T), EF_OK);
  ef_loss(pass, &m, &spec, grads, dfinal, NULL, &sums);
  cr_assert_eq(ef_backward(pass, &m, dfinal, NULL, 1.0f, grads), EF_OK);
  cr_expect_eq(ef_memory_peak(), before + taken);
  ef_pass_free(pass);
  cr_expect_eq(ef_memory_bytes(), before);
  ef_model_free(&m);
  free(grads);
  free(dfinal);
}

Test(forward, impossible_passes_are_refused) {
  ef_model m = case_model(case_named("llama")->config);
  ef_pass *pass;
  const ef_kernels *k = ef_kernels_find("ref");
  cr_expect_eq(ef_pass_create(&m.dims, k, EF_PASS_EVAL, 1, 17, false, NULL, &pass), EF_INPUT);
  cr_expect_null(pass);
  cr_expect_eq(ef_pass_create(&m.dims, k, EF_PASS_EVAL, 0, 4, false, NULL, &pass), EF_INPUT);
  cr_assert_eq(ef_pass_create(&m.dims, k, EF_PASS_EVAL, 1, 4, false, NULL, &pass), EF_OK);
  int32_t ids[8] = {0};
  cr_expect_eq(ef_forward(pass, &m, ids, 2, 4), EF_FAULT);
  cr_expect_null(ef_pass_residual(pass, 0), "residuals were not kept");
  ef_pass_free(pass);
  ef_model_free(&m);
}
