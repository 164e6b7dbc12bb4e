/* Elementwise operations, biases, embeddings and the sums over whole arrays. */
#include "ops.h"
#include "reduce.h"

#include <string.h>

void ef_blas_add(size_t n, const float *x, float *y) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void ef_blas_scale(size_t n, float a, float *x) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) x[i] *= a;
}

void ef_blas_axpy(size_t n, float a, const float *x, float *y) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = EF_FMA(a, x[i], y[i]);
}

void ef_blas_bias_add(size_t R, size_t N, const float *bias, float *y, size_t ldy) {
  for (size_t r = 0; r < R; r++) ef_blas_add(N, bias, y + r * ldy);
}

/* Rows are summed in blocks, so that the rounding error grows with the block and with the number of blocks,
 * not with their product. */
void ef_blas_bias_backward(size_t R, size_t N, const float *dy, size_t ldy, float *dbias) {
  enum { ROWS = 64, COLUMNS = 256 };
  float sum[COLUMNS];
  for (size_t c = 0; c < N; c += COLUMNS) {
    size_t width = N - c < COLUMNS ? N - c : COLUMNS;
    for (size_t r0 = 0; r0 < R; r0 += ROWS) {
      size_t end = R - r0 < ROWS ? R : r0 + ROWS;
      memset(sum, 0, sizeof sum);
      for (size_t r = r0; r < end; r++) ef_blas_add(width, dy + r * ldy + c, sum);
      ef_blas_add(width, sum, dbias + c);
    }
  }
}

typedef float half_vec __attribute__((vector_size(EF_VECTOR_BYTES / 2), aligned(4), may_alias));
typedef double double_vec __attribute__((vector_size(EF_VECTOR_BYTES)));

static double_vec square_at(const float *x) {
  double_vec d = __builtin_convertvector(*(const half_vec *)x, double_vec);
  return d * d;
}

double ef_blas_sum_squares(size_t n, const float *x) {
  enum { WIDTH = EF_LANES / 2 };
  double_vec a[4] = {{0}, {0}, {0}, {0}};
  size_t i = 0;
  for (; i + 4 * WIDTH <= n; i += 4 * WIDTH)
    for (size_t j = 0; j < 4; j++) a[j] += square_at(x + i + j * WIDTH);
  double_vec v = (a[0] + a[1]) + (a[2] + a[3]);
  double s = 0.0;
  for (size_t j = 0; j < WIDTH; j++) s += v[j];
  for (; i < n; i++) s += (double)x[i] * (double)x[i];
  return s;
}

int ef_blas_all_finite(size_t n, const float *x) {
  int32_t bad = 0;
#pragma omp simd reduction(| : bad)
  for (size_t i = 0; i < n; i++) bad |= (ef_bits_of_float(x[i]) & 0x7f800000) == 0x7f800000;
  return bad == 0;
}

void ef_blas_embedding(size_t R, size_t D, const int32_t *ids, const float *table, float *y) {
  for (size_t r = 0; r < R; r++) memcpy(y + r * D, table + (size_t)ids[r] * D, D * sizeof *y);
}

void ef_blas_embedding_backward(size_t R, size_t D, const int32_t *ids, const float *dy, float *dtable) {
  for (size_t r = 0; r < R; r++) ef_blas_add(D, dy + r * D, dtable + (size_t)ids[r] * D);
}
