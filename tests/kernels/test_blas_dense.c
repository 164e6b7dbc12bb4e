/* The blas backend against the reference: matrix products, elementwise operations, norms, rope, activations
 * and the optimiser, over sizes around the vector width and none. */
#include "test_blas.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const size_t sizes[] = {0, 1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 129, 257, 1000};
enum { SIZES = sizeof sizes / sizeof *sizes };
static const size_t rows[] = {0, 1, 3, 65, 130};
enum { ROWS = sizeof rows / sizeof *rows };

static void compare_matmul(int ta, int tb, size_t M, size_t N, size_t K, float beta) {
  const size_t lda = (ta ? M : K) + 3, ldb = (tb ? K : N) + 1, ldc = N + 2;
  const float *A = kt_input((ta ? K : M) * lda, 1.0f), *B = kt_input((tb ? N : K) * ldb, 1.0f);
  float *got = beta == 0.0f ? kt_floats(M * ldc) : kt_random(M * ldc, 1.0f), *want = kt_copy(M * ldc, got);
  blas()->matmul(ta, tb, M, N, K, A, lda, B, ldb, beta, got, ldc);
  ref()->matmul(ta, tb, M, N, K, A, lda, B, ldb, beta, want, ldc);
  float *rows_got = kt_floats(M * N), *rows_want = kt_floats(M * N);
  for (size_t i = 0; i < M; i++) {
    memcpy(rows_got + i * N, got + i * ldc, N * sizeof *got);
    memcpy(rows_want + i * N, want + i * ldc, N * sizeof *want);
    cr_assert_eq(memcmp(got + i * ldc + N, want + i * ldc + N, 2 * sizeof *got), 0, "gap of a row written");
  }
  blas_match("matmul", M * N, rows_got, rows_want);
  kt_done();
}

Test(blas_against_ref_dense, matmul) {
  static const size_t shapes[][3] = {{0, 5, 3},   {5, 0, 3}, {5, 3, 0},    {1, 1, 1},    {1, 37, 19},
                                     {37, 1, 19}, {7, 9, 1}, {33, 17, 65}, {70, 51, 129}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int flags = 0; flags < 8; flags++)
      compare_matmul(flags & 1, flags >> 1 & 1, shapes[i][0], shapes[i][1], shapes[i][2],
                     (float)(flags >> 2));
}

Test(blas_against_ref_dense, elementwise) {
  for (size_t s = 0; s < SIZES; s++) {
    const size_t n = sizes[s];
    const float *x = kt_input(n, 3.0f);
    float *got = kt_random(n, 2.0f), *want = kt_copy(n, got);
    blas()->add(n, x, got), ref()->add(n, x, want);
    blas()->scale(n, 0.7f, got), ref()->scale(n, 0.7f, want);
    blas()->axpy(n, -1.3f, x, got), ref()->axpy(n, -1.3f, x, want);
    blas_match("add, scale, axpy", n, got, want);
    cr_assert_float_eq(blas()->sum_squares(n, x), ref()->sum_squares(n, x), 1e-12 * (double)(n + 1));
    cr_assert_eq(blas()->all_finite(n, x), 1);
    kt_done();
  }
}

Test(blas_against_ref_dense, all_finite_finds_one_bad_value_anywhere) {
  static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
  float *x = kt_random(67, 3.4e38f);
  for (size_t i = 0; i < 67; i++) {
    const float keep = x[i];
    x[i] = bad[i % 4];
    cr_assert_eq(blas()->all_finite(67, x), 0, "element %zu", i);
    x[i] = keep;
  }
  cr_assert_eq(blas()->all_finite(67, x), 1);
  kt_done();
}

static void compare_bias(size_t R, size_t N) {
  const size_t ld = N + 5;
  const float *bias = kt_input(N, 1.0f), *dy = kt_input(R * ld, 1.0f);
  float *got = kt_random(R * ld, 1.0f), *want = kt_copy(R * ld, got);
  blas()->bias_add(R, N, bias, got, ld), ref()->bias_add(R, N, bias, want, ld);
  blas_match("bias_add", R * ld, got, want);
  float *dgot = kt_random(N, 1.0f), *dwant = kt_copy(N, dgot);
  blas()->bias_backward(R, N, dy, ld, dgot), ref()->bias_backward(R, N, dy, ld, dwant);
  blas_match("bias_backward", N, dgot, dwant);
  kt_done();
}

static void compare_embedding(size_t R, size_t D) {
  const size_t V = 23;
  const int32_t *ids = kt_indices(R, V);
  const float *table = kt_input(V * D, 1.0f), *dy = kt_input(R * D, 1.0f);
  float *got = kt_floats(R * D), *want = kt_floats(R * D);
  blas()->embedding(R, D, ids, table, got), ref()->embedding(R, D, ids, table, want);
  kt_equal("embedding", R * D, got, want);
  float *dgot = kt_random(V * D, 1.0f), *dwant = kt_copy(V * D, dgot);
  blas()->embedding_backward(R, D, ids, dy, dgot), ref()->embedding_backward(R, D, ids, dy, dwant);
  blas_match("embedding_backward", V * D, dgot, dwant);
  kt_done();
}

static void compare_layernorm(size_t R, size_t D, int affine) {
  const float *x = kt_input(R * D, 4.0f), *dy = kt_input(R * D, 1.0f);
  const float *w = affine ? kt_input(D, 1.0f) : NULL, *b = affine ? kt_input(D, 1.0f) : NULL;
  float *y[2], *mean[2], *rstd[2], *dx[2], *dw[2], *db[2];
  for (int i = 0; i < 2; i++) {
    const ef_kernels *k = i ? ref() : blas();
    y[i] = kt_floats(R * D), mean[i] = kt_floats(R), rstd[i] = kt_floats(R);
    k->layernorm(R, D, 1e-3f, x, w, b, y[i], mean[i], rstd[i]);
    dx[i] = kt_floats(R * D), dw[i] = kt_floats(D), db[i] = kt_floats(D);
    for (size_t j = 0; j < R * D; j++) dx[i][j] = 0.5f;
    for (size_t j = 0; j < D; j++) dw[i][j] = db[i][j] = 0.25f;
    k->layernorm_backward(R, D, dy, x, w, mean[i], rstd[i], dx[i], affine ? dw[i] : NULL,
                          affine ? db[i] : NULL);
  }
  blas_match("layernorm y", R * D, y[0], y[1]);
  blas_match("layernorm mean", R, mean[0], mean[1]);
  blas_match("layernorm rstd", R, rstd[0], rstd[1]);
  blas_match("layernorm dx", R * D, dx[0], dx[1]);
  blas_match("layernorm dw", D, dw[0], dw[1]);
  blas_match("layernorm db", D, db[0], db[1]);
  kt_done();
}

static void compare_rmsnorm(size_t R, size_t D) {
  const float *x = kt_input(R * D, 4.0f), *dy = kt_input(R * D, 1.0f), *w = kt_input(D, 1.0f);
  float *y = kt_floats(R * D), *want = kt_floats(R * D), *rstd = kt_floats(R), *rstd_want = kt_floats(R);
  blas()->rmsnorm(R, D, 1e-3f, x, w, y, rstd), ref()->rmsnorm(R, D, 1e-3f, x, w, want, rstd_want);
  blas_match("rmsnorm y", R * D, y, want);
  blas_match("rmsnorm rstd", R, rstd, rstd_want);
  float *dx = kt_random(R * D, 1.0f), *dx_want = kt_copy(R * D, dx), *dw = kt_random(D, 1.0f);
  float *dw_want = kt_copy(D, dw);
  blas()->rmsnorm_backward(R, D, dy, x, w, rstd, dx, dw);
  ref()->rmsnorm_backward(R, D, dy, x, w, rstd_want, dx_want, dw_want);
  blas_match("rmsnorm dx", R * D, dx, dx_want);
  blas_match("rmsnorm dw", D, dw, dw_want);
  kt_done();
}

Test(blas_against_ref_dense, rows) {
  for (size_t r = 0; r < ROWS; r++)
    for (size_t s = 1; s < SIZES; s++) { /* norms need a width */
      compare_bias(rows[r], sizes[s]);
      compare_embedding(rows[r], sizes[s]);
      compare_layernorm(rows[r], sizes[s], 0);
      compare_layernorm(rows[r], sizes[s], 1);
      compare_rmsnorm(rows[r], sizes[s]);
    }
}

Test(blas_against_ref_dense, rope) {
  for (size_t half = 1; half < 40; half += 5) {
    const size_t R = 9, heads = 3, h = 2 * half, head = h + 1, row = heads * head + 2, places = 11;
    const int32_t *positions = kt_indices(R, places);
    const float *cos = kt_input(places * half, 1.0f), *sin = kt_input(places * half, 1.0f);
    float *got = kt_random(R * row, 1.0f), *want = kt_copy(R * row, got);
    for (int direction = -1; direction <= 1; direction += 2) {
      blas()->rope(R, heads, h, row, head, positions, cos, sin, direction, got);
      ref()->rope(R, heads, h, row, head, positions, cos, sin, direction, want);
      blas_match("rope", R * row, got, want);
    }
    kt_done();
  }
}

/* Inputs with zeros, the far ends, and everything between. */
static float *activations(size_t n) {
  static const float ends[] = {0.0f, -0.0f, 1e4f, -1e4f, 88.9f, -88.9f, 1e-30f, 3e38f, -9.7f};
  float *x = kt_random(n, 6.0f);
  for (size_t i = 0; i < n && i < sizeof ends / sizeof *ends; i++) x[(i * 5) % n] = ends[i];
  kt_freeze(x);
  return x;
}

/* The identity function of large values would hide errors of the small ones: each element by its own size. */
static void match_each(const char *what, size_t n, const float *got, const float *want) {
  for (size_t i = 0; i < n; i++)
    cr_assert(got[i] == want[i] || fabsf(got[i] - want[i]) <= 1e-6f + 3e-6f * fabsf(want[i]),
              "%s[%zu] = %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
}

Test(blas_against_ref_dense, activations) {
  for (size_t s = 0; s < SIZES; s++) {
    const size_t n = sizes[s];
    const float *x = activations(n), *dy = kt_input(n, 1.0f);
    float *got = kt_floats(n), *want = kt_floats(n);
    blas()->gelu(n, x, got), ref()->gelu(n, x, want);
    match_each("gelu", n, got, want);
    const float *moderate = kt_input(n, 14.0f);
    float *dx = kt_random(n, 1.0f), *dx_want = kt_copy(n, dx);
    blas()->gelu_backward(n, dy, moderate, dx), ref()->gelu_backward(n, dy, moderate, dx_want);
    match_each("gelu_backward", n, dx, dx_want);
    kt_done();
  }
}

Test(blas_against_ref_dense, swiglu) {
  for (size_t r = 0; r < ROWS; r++)
    for (size_t s = 0; s < SIZES; s++) {
      const size_t R = rows[r], F = sizes[s];
      const float *gu = kt_input(2 * R * F, 100.0f), *dy = kt_input(R * F, 1.0f);
      float *y = kt_floats(R * F), *y_want = kt_floats(R * F), *d = kt_floats(2 * R * F);
      float *d_want = kt_floats(2 * R * F);
      blas()->swiglu(R, F, gu, y), ref()->swiglu(R, F, gu, y_want);
      match_each("swiglu", R * F, y, y_want);
      blas()->swiglu_backward(R, F, dy, gu, d), ref()->swiglu_backward(R, F, dy, gu, d_want);
      match_each("swiglu_backward", 2 * R * F, d, d_want);
      kt_done();
    }
}

Test(blas_against_ref_dense, sigmoid_gate) {
  for (size_t s = 0; s < SIZES; s++) {
    const size_t R = 7, D = sizes[s];
    const float *g = kt_input(R, 90.0f), *x = kt_input(R * D, 1.0f), *dy = kt_input(R * D, 1.0f);
    float *y = kt_random(R * D, 1.0f), *y_want = kt_copy(R * D, y), *dx = kt_floats(R * D);
    float *dx_want = kt_floats(R * D), *dg = kt_floats(R), *dg_want = kt_floats(R);
    blas()->sigmoid_gate(R, D, g, x, y), ref()->sigmoid_gate(R, D, g, x, y_want);
    match_each("sigmoid_gate", R * D, y, y_want);
    blas()->sigmoid_gate_backward(R, D, dy, g, x, dx, dg);
    ref()->sigmoid_gate_backward(R, D, dy, g, x, dx_want, dg_want);
    match_each("sigmoid_gate dx", R * D, dx, dx_want);
    match_each("sigmoid_gate dg", R, dg, dg_want);
    kt_done();
  }
}

Test(blas_against_ref_dense, adamw_over_three_steps) {
  for (size_t s = 0; s < SIZES; s++) {
    const size_t n = sizes[s];
    float *p = kt_random(n, 1.0f), *m = kt_random(n, 0.1f), *v = kt_random(n, 0.1f);
    for (size_t i = 0; i < n; i++) v[i] = fabsf(v[i]);
    float *p_want = kt_copy(n, p), *m_want = kt_copy(n, m), *v_want = kt_copy(n, v);
    for (uint64_t step = 1; step <= 3; step++) {
      const ef_adamw o = {0.01f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.5f, step};
      const float *g = kt_input(n, 1.0f);
      blas()->adamw(&o, n, p, g, m, v), ref()->adamw(&o, n, p_want, g, m_want, v_want);
    }
    blas_match("adamw p", n, p, p_want);
    blas_match("adamw m", n, m, m_want);
    blas_match("adamw v", n, v, v_want);
    kt_done();
  }
}
