/* Norms and activations. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <math.h>

/* ---- norms ---- */

typedef struct norm_problem {
  size_t R, D;
  double eps;
  double *x, *w, *b; /* (R,D), (D) or NULL, (D) or NULL */
} norm_problem;

static double mean_of(size_t D, const double *x) {
  double sum = 0.0;
  for (size_t d = 0; d < D; d++) sum += x[d] / (double)D;
  return sum;
}

static double rstd_of(size_t D, const double *x, double centre, double eps) {
  double sum = 0.0;
  for (size_t d = 0; d < D; d++) sum += pow(x[d] - centre, 2.0) / (double)D;
  return 1.0 / sqrt(sum + eps);
}

static void normalise(const norm_problem *p, int centred, double *y) {
  for (size_t r = 0; r < p->R; r++) {
    const double *x = p->x + r * p->D;
    double mean = centred ? mean_of(p->D, x) : 0.0, rstd = rstd_of(p->D, x, mean, p->eps);
    for (size_t d = 0; d < p->D; d++) {
      y[r * p->D + d] = (x[d] - mean) * rstd * (p->w ? p->w[d] : 1.0) + (p->b ? p->b[d] : 0.0);
    }
  }
}

static void layernorm_forward(const void *context, double *y) { normalise(context, 1, y); }
static void rmsnorm_forward(const void *context, double *y) { normalise(context, 0, y); }

static void layernorm_case(const ef_kernels *k, size_t R, size_t D, int with_w, int with_b, float shift) {
  float *x = kt_random(R * D, 1.0f);
  for (size_t i = 0; i < R * D; i++) x[i] += shift;
  kt_freeze(x);
  const float *w = with_w ? kt_input(D, 1.0f) : NULL, *b = with_b ? kt_input(D, 1.0f) : NULL;
  const float *dy = kt_input(R * D, 1.0f);
  float *y = kt_floats(R * D), *mean = kt_floats(R), *rstd = kt_floats(R);
  float *dx = kt_random(R * D, 1.0f), *dw = with_w ? kt_random(D, 1.0f) : NULL;
  float *db = with_b ? kt_random(D, 1.0f) : NULL;
  const float *dx0 = kt_copy(R * D, dx), *dw0 = dw ? kt_copy(D, dw) : NULL, *db0 = db ? kt_copy(D, db) : NULL;
  norm_problem norm = {R, D, 1e-3f, kt_widen(R * D, x), w ? kt_widen(D, w) : NULL, b ? kt_widen(D, b) : NULL};
  kt_problem p = {layernorm_forward, &norm, R * D, dy};
  k->layernorm(R, D, 1e-3f, x, w, b, y, mean, rstd);
  kt_forward("y", &p, y);
  for (size_t r = 0; r < R; r++) {
    double want = mean_of(D, norm.x + r * D);
    cr_assert_float_eq(mean[r], want, 2e-6 * (1.0 + fabs(want)));
    cr_assert_float_eq(rstd[r], rstd_of(D, norm.x + r * D, want, 1e-3f), 1e-5 * rstd[r]);
  }
  k->layernorm_backward(R, D, dy, x, w, mean, rstd, dx, dw, db);
  kt_gradient("dx", &p, R * D, norm.x, dx0, dx);
  if (dw) kt_gradient("dw", &p, D, norm.w, dw0, dw);
  if (db) kt_gradient("db", &p, D, norm.b, db0, db);
  kt_done();
}

void check_layernorm(const ef_kernels *k) {
  for (int flags = 0; flags < 4; flags++) {
    layernorm_case(k, 7, 19, flags & 1, flags & 2, 0.0f);
    layernorm_case(k, 1, 1, flags & 1, flags & 2, 0.0f);
  }
  layernorm_case(k, 0, 5, 1, 1, 0.0f);
  layernorm_case(k, 3, 67, 1, 1, 2.0f);
  size_t D = 37; /* the variance of a row far from zero: a one-pass formula would lose it */
  float *x = kt_floats(D), *y = kt_floats(D), *mean = kt_floats(1), *rstd = kt_floats(1);
  for (size_t d = 0; d < D; d++) x[d] = d % 2 ? 4097.0f : 4095.0f;
  k->layernorm(1, D, 0.0f, x, NULL, NULL, y, mean, rstd);
  double share = 18.0 / 37.0; /* of the upper value */
  cr_assert_float_eq(rstd[0], 0.5 / sqrt(share * (1.0 - share)), 1e-3);
  kt_done();
}

static void rmsnorm_case(const ef_kernels *k, size_t R, size_t D) {
  const float *x = kt_input(R * D, 1.0f), *w = kt_input(D, 1.0f), *dy = kt_input(R * D, 1.0f);
  float *y = kt_floats(R * D), *rstd = kt_floats(R), *dx = kt_random(R * D, 1.0f), *dw = kt_random(D, 1.0f);
  const float *dx0 = kt_copy(R * D, dx), *dw0 = kt_copy(D, dw);
  norm_problem norm = {R, D, 1e-3f, kt_widen(R * D, x), kt_widen(D, w), NULL};
  kt_problem p = {rmsnorm_forward, &norm, R * D, dy};
  k->rmsnorm(R, D, 1e-3f, x, w, y, rstd);
  kt_forward("y", &p, y);
  for (size_t r = 0; r < R; r++) {
    cr_assert_float_eq(rstd[r], rstd_of(D, norm.x + r * D, 0.0, 1e-3f), 1e-5 * rstd[r]);
  }
  k->rmsnorm_backward(R, D, dy, x, w, rstd, dx, dw);
  kt_gradient("dx", &p, R * D, norm.x, dx0, dx);
  kt_gradient("dw", &p, D, norm.w, dw0, dw);
  kt_done();
}

void check_rmsnorm(const ef_kernels *k) {
  rmsnorm_case(k, 0, 5);
  rmsnorm_case(k, 1, 1);
  rmsnorm_case(k, 7, 19);
  rmsnorm_case(k, 3, 67);
}

/* ---- activations ---- */

typedef struct unary_problem {
  size_t R, D;
  double *x, *g; /* gelu: x (R,D); swiglu: x (R,2D); sigmoid gate: x (R,D) and g (R) */
  const float *y0;
} unary_problem;

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static void gelu_forward(const void *context, double *y) {
  const unary_problem *p = context;
  for (size_t i = 0; i < p->R * p->D; i++) {
    double x = p->x[i];
    y[i] = 0.5 * x * (1.0 + tanh(sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
  }
}

static void gelu_case(const ef_kernels *k, size_t n, float scale) {
  const float *x = kt_input(n, scale), *dy = kt_input(n, 1.0f);
  float *y = kt_floats(n), *dx = kt_random(n, 1.0f);
  const float *dx0 = kt_copy(n, dx);
  unary_problem gelu = {.R = 1, .D = n, .x = kt_widen(n, x)};
  kt_problem p = {gelu_forward, &gelu, n, dy};
  k->gelu(n, x, y);
  kt_forward("y", &p, y);
  k->gelu_backward(n, dy, x, dx);
  kt_gradient("dx", &p, n, gelu.x, dx0, dx);
  kt_done();
}

void check_gelu(const ef_kernels *k) {
  gelu_case(k, 0, 1.0f);
  gelu_case(k, 1, 1.0f);
  gelu_case(k, 101, 1.0f);
  gelu_case(k, 203, 5.0f);
  float x[] = {-1e4f, -50.0f, 50.0f, 1e4f}, y[4], dx[4] = {0}, dy[] = {1.0f, 1.0f, 1.0f, 1.0f};
  k->gelu(4, x, y);
  k->gelu_backward(4, dy, x, dx);
  for (size_t i = 0; i < 4; i++) {
    cr_assert_eq(fabsf(y[i]), i < 2 ? 0.0f : x[i]);
    cr_assert_float_eq(dx[i], i < 2 ? 0.0f : 1.0f, 1e-6);
  }
}

static void swiglu_forward(const void *context, double *y) {
  const unary_problem *p = context;
  for (size_t r = 0; r < p->R; r++) {
    for (size_t f = 0; f < p->D; f++) {
      double gate = p->x[2 * r * p->D + f], up = p->x[(2 * r + 1) * p->D + f];
      y[r * p->D + f] = gate * sigmoid(gate) * up;
    }
  }
}

static void swiglu_case(const ef_kernels *k, size_t R, size_t F, float scale) {
  const float *gu = kt_input(2 * R * F, scale), *dy = kt_input(R * F, 1.0f);
  float *y = kt_floats(R * F), *dgu = kt_floats(2 * R * F);
  unary_problem swiglu = {.R = R, .D = F, .x = kt_widen(2 * R * F, gu)};
  kt_problem p = {swiglu_forward, &swiglu, R * F, dy};
  k->swiglu(R, F, gu, y);
  kt_forward("y", &p, y);
  k->swiglu_backward(R, F, dy, gu, dgu);
  kt_gradient("dgu", &p, 2 * R * F, swiglu.x, NULL, dgu);
  kt_done();
}

void check_swiglu(const ef_kernels *k) {
  swiglu_case(k, 0, 3, 1.0f);
  swiglu_case(k, 3, 0, 1.0f);
  swiglu_case(k, 1, 1, 1.0f);
  swiglu_case(k, 5, 19, 2.0f);
  swiglu_case(k, 2, 33, 12.0f);
  float gu[] = {-1e4f, 1e4f, 1.0f, 1.0f}, y[2];
  k->swiglu(1, 2, gu, y);
  cr_assert(y[0] == 0.0f && y[1] == 1e4f, "%g, %g", (double)y[0], (double)y[1]);
}

static void sigmoid_gate_forward(const void *context, double *y) {
  const unary_problem *p = context;
  for (size_t i = 0; i < p->R * p->D; i++) y[i] = p->y0[i] + sigmoid(p->g[i / p->D]) * p->x[i];
}

static void sigmoid_gate_case(const ef_kernels *k, size_t R, size_t D) {
  const float *g = kt_input(R, 3.0f), *x = kt_input(R * D, 1.0f), *dy = kt_input(R * D, 1.0f);
  float *y = kt_random(R * D, 1.0f), *dx = kt_floats(R * D), *dg = kt_floats(R);
  unary_problem gate = {R, D, kt_widen(R * D, x), kt_widen(R, g), kt_copy(R * D, y)};
  kt_problem p = {sigmoid_gate_forward, &gate, R * D, dy};
  k->sigmoid_gate(R, D, g, x, y);
  kt_forward("y", &p, y);
  k->sigmoid_gate_backward(R, D, dy, g, x, dx, dg);
  kt_gradient("dx", &p, R * D, gate.x, NULL, dx);
  kt_gradient("dg", &p, R, gate.g, NULL, dg);
  kt_done();
}

void check_sigmoid_gate(const ef_kernels *k) {
  sigmoid_gate_case(k, 0, 3);
  sigmoid_gate_case(k, 1, 1);
  sigmoid_gate_case(k, 13, 19);
}
