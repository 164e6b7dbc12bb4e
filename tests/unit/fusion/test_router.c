#include "merge_sample.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { D = 8 };

static ef_model model_of(ef_family family, size_t E, size_t top_k) {
  ef_dims dims = merge_dims(family, E, top_k, 3, 0);
  ef_model model;
  cr_assert_eq(ef_model_create(&dims, &model), EF_OK);
  return model;
}

Test(router, normal_rows_have_deviation_0_02_and_a_stream_for_each_layer) {
  ef_model a = model_of(EF_DEEPSEEK, 64, 2), b = model_of(EF_DEEPSEEK, 64, 2);
  ef_router_normal(&a, 3);
  ef_router_normal(&b, 3);
  cr_assert_eq(memcmp(a.params, b.params, a.table.floats * sizeof(float)), 0);
  const float *first = ef_model_tensor(&a, EF_T_ROUTER_W, 1, -1),
              *second = ef_model_tensor(&a, EF_T_ROUTER_W, 2, -1);
  double squares = 0.0, product = 0.0;
  for (size_t i = 0; i < 64 * D; i++) {
    squares += (double)(first[i] * first[i]);
    product += (double)(first[i] * second[i]);
  }
  cr_assert_float_eq(sqrt(squares / (64 * D)), 0.02, 0.002);
  cr_assert_lt(fabs(product / squares), 0.15);
  size_t written = 0;
  for (size_t i = 0; i < a.table.floats; i++) written += a.params[i] != 0.0f;
  cr_assert_eq(written, 2 * 64 * D, "routers alone, and none in the dense layer");
  ef_router_normal(&b, 4);
  cr_assert_neq(memcmp(a.params, b.params, a.table.floats * sizeof(float)), 0);
  ef_model_free(&a);
  ef_model_free(&b);
}

static int descending(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a < b) - (a > b);
}

/* Mean over the K inputs mu of the probability of the `top` likeliest of E experts, rows times `factor`. */
static double top_mass(const float *router, size_t E, size_t top, size_t K, const float *mu, double factor) {
  double mass = 0.0;
  for (size_t i = 0; i < K; i++) {
    double p[64], all = 0.0, chosen = 0.0;
    for (size_t e = 0; e < E; e++) {
      double logit = 0.0;
      for (size_t c = 0; c < D; c++) logit += factor * (double)router[e * D + c] * (double)mu[i * D + c];
      p[e] = exp(logit);
      all += p[e];
    }
    qsort(p, E, sizeof *p, descending);
    for (size_t e = 0; e < top; e++) chosen += p[e];
    mass += chosen / all / (double)K;
  }
  return mass;
}

/* Rows of base i point along mu_i - mean(mu), all of one length; the mass is `wanted`, and less for shorter
 * rows. */
static void check_prior(size_t E, size_t top, size_t K, double wanted) {
  ef_model m = model_of(EF_QWEN2_MOE, E, top);
  float mu[8 * D];
  test_fill(mu, K * D, 2.0f, 31);
  cr_assert_eq(ef_router_prior(&m, 1, K, mu), EF_OK);
  const float *router = ef_model_tensor(&m, EF_T_ROUTER_W, 1, -1);
  double kappa = 0.0;
  for (size_t e = 0; e < E; e++) {
    double v[D], length = 0.0, row = 0.0, cosine = 0.0;
    for (size_t c = 0; c < D; c++) {
      v[c] = (double)mu[e / (E / K) * D + c];
      for (size_t i = 0; i < K; i++) v[c] -= (double)mu[i * D + c] / (double)K;
      length += v[c] * v[c];
      row += (double)(router[e * D + c] * router[e * D + c]);
      cosine += v[c] * (double)router[e * D + c];
    }
    if (e == 0) kappa = sqrt(row);
    cr_assert_float_eq(sqrt(row), kappa, 1e-5 * kappa);
    cr_assert_float_eq(cosine / sqrt(length * row), 1.0, 1e-5);
  }
  cr_assert_float_eq(top_mass(router, E, top, K, mu, 1.0), wanted, 1e-5);
  cr_assert_lt(top_mass(router, E, top, K, mu, 0.99), wanted);
  cr_assert(ef_model_tensor(&m, EF_T_ROUTER_W, 0, -1)[0] == 0.0f, "other layers stay");
  ef_model_free(&m);
}

Test(router, the_prior_points_at_the_domains_with_the_least_sufficient_length) {
  check_prior(16, 4, 4, 0.9);
  check_prior(16, 6, 4, 0.9);
  check_prior(8, 2, 8, 0.9);
  check_prior(24, 3, 6, 0.9 * 3 / 4); /* four experts of a base share the mass of three */
}

Test(router, a_prior_without_differences_or_need_is_zero) {
  ef_model m = model_of(EF_QWEN2_MOE, 8, 2), all = model_of(EF_QWEN2_MOE, 8, 8);
  float mu[4 * D];
  for (size_t i = 0; i < 4 * D; i++) mu[i] = 0.1f + (float)(i % D);
  cr_assert_eq(ef_router_prior(&m, 0, 4, mu), EF_OK);
  for (size_t i = 0; i < 8 * D; i++) cr_assert(ef_model_tensor(&m, EF_T_ROUTER_W, 0, -1)[i] == 0.0f);
  test_fill(mu, 4 * D, 1.0f, 3);
  cr_assert_eq(ef_router_prior(&all, 0, 4, mu), EF_OK);
  for (size_t i = 0; i < 8 * D; i++) cr_assert(ef_model_tensor(&all, EF_T_ROUTER_W, 0, -1)[i] == 0.0f);
  ef_model_free(&m);
  ef_model_free(&all);
}

static double distance(size_t n, double a, const float *routed, const float *shared, const float *wanted) {
  double squares = 0.0;
  for (size_t i = 0; i < n; i++)
    squares += pow(a * (double)routed[i] + (double)shared[i] - (double)wanted[i], 2.0);
  return squares;
}

Test(router, the_routed_scale_is_the_least_squares_solution) {
  enum { ROWS = 20 };
  ef_model m = model_of(EF_QWEN2_MOE, 4, 2);
  float routed[ROWS * D], shared[ROWS * D], wanted[ROWS * D];
  test_fill(routed, ROWS * D, 1.0f, 1);
  test_fill(shared, ROWS * D, 1.0f, 2);
  test_fill(wanted, ROWS * D, 3.0f, 3);
  for (size_t i = 0; i < ROWS * D; i++) wanted[i] += 2.5f * routed[i];
  test_fill(m.params, m.table.floats, 1.0f, 4);
  float before = ef_model_tensor(&m, EF_T_EXPERT_DOWN_W, 1, 3)[7],
        up = ef_model_tensor(&m, EF_T_EXPERT_UP_W, 1, 3)[7];
  float other = ef_model_tensor(&m, EF_T_EXPERT_DOWN_W, 2, 3)[7];
  double a = (double)ef_routed_scale(&m, 1, ROWS, routed, shared, wanted);
  /* a parabola's lowest point from three of its values */
  double f0 = distance(ROWS * D, 0, routed, shared, wanted),
         f1 = distance(ROWS * D, 1, routed, shared, wanted);
  double f2 = distance(ROWS * D, 2, routed, shared, wanted);
  cr_assert_float_eq(a, (3 * f0 - 4 * f1 + f2) / (2 * (f0 - 2 * f1 + f2)), 1e-6);
  cr_assert_float_eq((double)ef_model_tensor(&m, EF_T_EXPERT_DOWN_W, 1, 3)[7], a * (double)before, 1e-6);
  cr_assert(ef_model_tensor(&m, EF_T_EXPERT_UP_W, 1, 3)[7] == up);
  cr_assert(ef_model_tensor(&m, EF_T_EXPERT_DOWN_W, 2, 3)[7] == other);
  for (size_t i = 0; i < ROWS * D; i++) wanted[i] = shared[i] - 0.5f * routed[i];
  cr_assert_float_eq((double)ef_routed_scale(&m, 0, ROWS, routed, shared, wanted), -0.5, 1e-6);
  memset(routed, 0, sizeof routed);
  cr_assert_float_eq((double)ef_routed_scale(&m, 0, ROWS, routed, shared, wanted), 1.0, 0.0);
  ef_model_free(&m);
}
