/* Layer norm (Ba, Kiros and Hinton 2016) and root-mean-square norm (Zhang and Sennrich 2019). */
#include "ops.h"
#include "reduce.h"

#include <math.h>

/* y = (x - mean) * rstd [* w [+ b]] */
static void normalise_row(size_t D, float mean, float rstd, const float *x, const float *w, const float *b,
                          float *y) {
  if (w && b) {
#pragma omp simd
    for (size_t i = 0; i < D; i++) y[i] = EF_FMA((x[i] - mean) * rstd, w[i], b[i]);
  } else {
#pragma omp simd
    for (size_t i = 0; i < D; i++) y[i] = (x[i] - mean) * rstd;
    if (w)
      for (size_t i = 0; i < D; i++) y[i] *= w[i];
    if (b) ef_blas_add(D, b, y);
  }
}

void ef_blas_layernorm(size_t R, size_t D, float eps, const float *x, const float *w, const float *b,
                       float *y, float *mean, float *rstd) {
  for (size_t r = 0; r < R; r++, x += D, y += D) {
    mean[r] = D ? ef_sum(D, x) / (float)D : 0.0f;
    float variance = D ? ef_square_deviation(D, x, mean[r]) / (float)D : 0.0f;
    rstd[r] = 1.0f / sqrtf(variance + eps);
    normalise_row(D, mean[r], rstd[r], x, w, b, y);
  }
}

/* dx += rstd * (g - mean(g) - xhat * mean(g*xhat)) with g = dy*w, xhat = (x - mean)*rstd. */
static void layernorm_dx(size_t D, float mean, float rstd, const float *dy, const float *x, const float *w,
                         float *dx) {
  float g_sum = w ? ef_dot(D, dy, w) : ef_sum(D, dy);
  float gx_sum = w ? ef_dot3_deviation(D, dy, w, x, mean) : ef_dot_deviation(D, dy, x, mean);
  float g_mean = g_sum / (float)D;
  float slope = gx_sum / (float)D * rstd * rstd;
  if (w) {
#pragma omp simd
    for (size_t i = 0; i < D; i++) dx[i] += rstd * (dy[i] * w[i] - g_mean - (x[i] - mean) * slope);
  } else {
#pragma omp simd
    for (size_t i = 0; i < D; i++) dx[i] += rstd * (dy[i] - g_mean - (x[i] - mean) * slope);
  }
}

void ef_blas_layernorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                                const float *mean, const float *rstd, float *dx, float *dw, float *db) {
  for (size_t r = 0; r < R; r++, dy += D, x += D, dx += D) {
    layernorm_dx(D, mean[r], rstd[r], dy, x, w, dx);
    if (dw) {
      float m = mean[r], s = rstd[r];
#pragma omp simd
      for (size_t i = 0; i < D; i++) dw[i] = EF_FMA(dy[i], (x[i] - m) * s, dw[i]);
    }
    if (db) ef_blas_add(D, dy, db);
  }
}

void ef_blas_rmsnorm(size_t R, size_t D, float eps, const float *x, const float *w, float *y, float *rstd) {
  for (size_t r = 0; r < R; r++, x += D, y += D) {
    float mean_square = D ? ef_dot(D, x, x) / (float)D : 0.0f;
    float s = rstd[r] = 1.0f / sqrtf(mean_square + eps);
#pragma omp simd
    for (size_t i = 0; i < D; i++) y[i] = x[i] * s * w[i];
  }
}

/* dx += rstd * (dy*w - x * rstd^2 * mean(dy*w*x)), dw += dy*x*rstd. */
void ef_blas_rmsnorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                              const float *rstd, float *dx, float *dw) {
  for (size_t r = 0; r < R; r++, dy += D, x += D, dx += D) {
    float s = rstd[r];
    float slope = ef_dot3(D, dy, w, x) / (float)D * s * s;
#pragma omp simd
    for (size_t i = 0; i < D; i++) {
      dx[i] += s * (dy[i] * w[i] - x[i] * slope);
      dw[i] = EF_FMA(dy[i], x[i] * s, dw[i]);
    }
  }
}
