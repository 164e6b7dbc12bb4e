/* Products, elementwise operations, embedding and rotary positions. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* ---- matmul and bias ---- */

enum { PAD = 3 }; /* a leading dimension is this much longer than its row */

static void matmul_case(const ef_kernels *k, size_t M, size_t N, size_t K, int transA, int transB,
                        float beta) {
  size_t lda = (transA ? M : K) + PAD, ldb = (transB ? K : N) + PAD, ldc = N + PAD;
  const float *A = kt_input((transA ? K : M) * lda, 1.0f), *B = kt_input((transB ? N : K) * ldb, 1.0f);
  float *C = kt_random(M * ldc, 1.0f), *before = kt_copy(M * ldc, C);
  double *want = kt_widen(M * ldc, C); /* the padding stays as it is */
  for (size_t i = 0; i < M; i++) {
    for (size_t j = 0; j < N; j++) {
      double sum = beta != 0.0f ? before[i * ldc + j] : 0.0;
      for (size_t l = 0; l < K; l++) {
        sum += (double)A[transA ? l * lda + i : i * lda + l] * B[transB ? j * ldb + l : l * ldb + j];
      }
      want[i * ldc + j] = sum;
      if (beta == 0.0f) C[i * ldc + j] = NAN; /* must not be read */
    }
  }
  k->matmul(transA, transB, M, N, K, A, lda, B, ldb, beta, C, ldc);
  kt_match("C", M * ldc, C, want);
  for (size_t i = 0; i < M; i++) kt_equal("padding of C", PAD, C + i * ldc + N, before + i * ldc + N);
  kt_done();
}

void check_matmul(const ef_kernels *k) {
  static const size_t shapes[][3] = {{0, 3, 4}, {3, 0, 4}, {3, 4, 0},    {1, 1, 1},   {1, 19, 7},
                                     {7, 1, 5}, {5, 6, 1}, {13, 19, 37}, {33, 65, 17}};
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    for (int flags = 0; flags < 8; flags++) {
      matmul_case(k, shapes[s][0], shapes[s][1], shapes[s][2], flags & 1, flags & 2, flags & 4 ? 1.0f : 0.0f);
    }
  }
}

static void bias_case(const ef_kernels *k, size_t R, size_t N) {
  size_t ld = N + PAD;
  const float *bias = kt_input(N, 1.0f), *dy = kt_input(R * ld, 1.0f);
  float *y = kt_random(R * ld, 1.0f), *dbias = kt_random(N, 1.0f);
  double *want_y = kt_widen(R * ld, y), *want_dbias = kt_widen(N, dbias);
  for (size_t r = 0; r < R; r++) {
    for (size_t j = 0; j < N; j++) {
      want_y[r * ld + j] += bias[j];
      want_dbias[j] += dy[r * ld + j];
    }
  }
  k->bias_add(R, N, bias, y, ld);
  k->bias_backward(R, N, dy, ld, dbias);
  kt_match("y", R * ld, y, want_y);
  kt_match("dbias", N, dbias, want_dbias);
  kt_done();
}

void check_bias(const ef_kernels *k) {
  bias_case(k, 0, 5);
  bias_case(k, 5, 0);
  bias_case(k, 1, 1);
  bias_case(k, 13, 37);
}

/* ---- elementwise ---- */

static void elementwise_case(const ef_kernels *k, size_t n) {
  const float *x = kt_input(n, 2.0f);
  float *sum = kt_random(n, 1.0f), *scaled = kt_copy(n, x), *combined = kt_copy(n, sum), *ramp = kt_floats(n);
  double *want_sum = kt_widen(n, sum), *want_scaled = kt_widen(n, x), *want_combined = kt_widen(n, sum);
  for (size_t i = 0; i < n; i++) {
    want_sum[i] += x[i];
    want_scaled[i] *= -0.75;
    want_combined[i] -= 1.25 * x[i];
    ramp[i] = (float)(i + 1);
  }
  k->add(n, x, sum);
  k->scale(n, -0.75f, scaled);
  k->axpy(n, -1.25f, x, combined);
  kt_match("add", n, sum, want_sum);
  kt_match("scale", n, scaled, want_scaled);
  kt_match("axpy", n, combined, want_combined);
  double m = (double)n;
  cr_assert_eq(k->sum_squares(n, ramp), m * (m + 1.0) * (2.0 * m + 1.0) / 6.0, "1 + 4 + 9 + ... of %zu", n);
  cr_assert_eq(k->all_finite(n, x), 1);
  kt_done();
}

static void finite_case(const ef_kernels *k, size_t n) {
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  float *x = kt_random(n, FLT_MAX);
  cr_assert_eq(k->all_finite(n, x), 1, "large numbers are finite");
  for (size_t i = 0; i < n; i++) {
    float kept = x[i];
    for (size_t b = 0; b < 3; b++) {
      x[i] = bad[b];
      cr_assert_eq(k->all_finite(n, x), 0, "%g at %zu of %zu", (double)bad[b], i, n);
    }
    x[i] = kept;
  }
  kt_done();
}

void check_elementwise(const ef_kernels *k) {
  static const size_t sizes[] = {0, 1, 2, 7, 33, 1021};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    elementwise_case(k, sizes[s]);
    finite_case(k, sizes[s] % 100);
  }
  size_t n = 4099; /* in float the ones would vanish beside 1e12 */
  float *x = kt_floats(n);
  for (size_t i = 0; i < n; i++) x[i] = 1.0f;
  x[17] = 1e6f;
  cr_assert_eq(k->sum_squares(n, x), 1e12 + (double)(n - 1));
  kt_done();
}

/* ---- embedding ---- */

static void embedding_case(const ef_kernels *k, size_t R, size_t V, size_t D) {
  const int32_t *ids = kt_indices(R, V);
  const float *table = kt_input(V * D, 1.0f), *dy = kt_input(R * D, 1.0f);
  float *y = kt_floats(R * D), *dtable = kt_random(V * D, 1.0f);
  double *want = kt_widen(V * D, dtable);
  k->embedding(R, D, ids, table, y);
  k->embedding_backward(R, D, ids, dy, dtable);
  for (size_t r = 0; r < R; r++) {
    kt_equal("y", D, y + r * D, table + (size_t)ids[r] * D);
    for (size_t d = 0; d < D; d++) want[(size_t)ids[r] * D + d] += dy[r * D + d];
  }
  kt_match("dtable", V * D, dtable, want);
  kt_done();
}

void check_embedding(const ef_kernels *k) {
  embedding_case(k, 0, 3, 5);
  embedding_case(k, 4, 3, 0);
  embedding_case(k, 1, 1, 1);
  embedding_case(k, 26, 37, 19);
  embedding_case(k, 40, 2, 7); /* every row is used many times */
}

/* ---- rotary positions ---- */

/* Heads of width h with gaps between heads and rows, as in a fused q|k|v buffer. */
static void rope_case(const ef_kernels *k, size_t R, size_t heads, size_t h) {
  size_t half = h / 2, head = h + 2, row = heads * head + 5, P = 11;
  const int32_t *positions = kt_indices(R, P);
  float *cosines = kt_floats(P * half), *sines = kt_floats(P * half), *x = kt_random(R * row, 1.0f);
  float *before = kt_copy(R * row, x);
  double *want = kt_widen(R * row, x);
  for (size_t i = 0; i < P * half; i++) {
    double angle = (double)(i / half) * pow(10000.0, -2.0 * (double)(i % half) / (double)h);
    cosines[i] = (float)cos(angle);
    sines[i] = (float)sin(angle);
  }
  kt_freeze(cosines);
  kt_freeze(sines);
  for (size_t r = 0; r < R; r++) {
    for (size_t i = 0; i < heads * half; i++) {
      size_t at = r * row + i / half * head + i % half;
      double angle = positions[r] * pow(10000.0, -2.0 * (double)(i % half) / (double)h);
      double a = before[at], b = before[at + half], length = hypot(a, b), phase = atan2(b, a) + angle;
      want[at] = length * cos(phase);
      want[at + half] = length * sin(phase);
    }
  }
  k->rope(R, heads, h, row, head, positions, cosines, sines, 1, x);
  kt_match("rotated", R * row, x, want);
  for (size_t r = 0; r < R; r++) {
    kt_equal("after the heads", 5, x + r * row + heads * head, before + r * row + heads * head);
    for (size_t n = 0; n < heads; n++) {
      size_t gap = r * row + n * head + h;
      kt_equal("between the heads", 2, x + gap, before + gap);
    }
  }
  k->rope(R, heads, h, row, head, positions, cosines, sines, -1, x);
  kt_match("rotated back", R * row, x, kt_widen(R * row, before));
  kt_done();
}

void check_rope(const ef_kernels *k) {
  rope_case(k, 0, 2, 4);
  rope_case(k, 3, 0, 4);
  rope_case(k, 1, 1, 2);
  rope_case(k, 13, 6, 10);
  rope_case(k, 5, 3, 32);
}
