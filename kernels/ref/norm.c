#include "kernels/ref/ref.h"

#include <math.h>

static double row_mean(size_t D, const float *x) {
  double sum = 0.0;
  for (size_t d = 0; d < D; d++) sum += x[d];
  return sum / (double)D;
}

static double row_moment(size_t D, const float *x, double centre) {
  double sum = 0.0;
  for (size_t d = 0; d < D; d++) sum += (x[d] - centre) * (x[d] - centre);
  return sum / (double)D;
}

void ef_ref_layernorm(size_t R, size_t D, float eps, const float *x, const float *w, const float *b, float *y,
                      float *mean, float *rstd) {
  for (size_t r = 0; r < R; r++) {
    const float *row = x + r * D; /* (D) */
    double mu = row_mean(D, row), inverse = 1.0 / sqrt(row_moment(D, row, mu) + eps);
    for (size_t d = 0; d < D; d++) {
      double normal = (row[d] - mu) * inverse;
      y[r * D + d] = (float)(normal * (w ? w[d] : 1.0f) + (b ? b[d] : 0.0f));
    }
    mean[r] = (float)mu;
    rstd[r] = (float)inverse;
  }
}

/* dx += rstd * (g - mean(g) - n * mean(g n)) with g = dy w and n the normalised row. */
static void layernorm_row_backward(size_t D, const float *dy, const float *x, const float *w, double mean,
                                   double rstd, float *dx) {
  double mean_g = 0.0, mean_gn = 0.0;
  for (size_t d = 0; d < D; d++) {
    double g = (double)dy[d] * (w ? w[d] : 1.0f);
    mean_g += g / (double)D;
    mean_gn += g * (x[d] - mean) * rstd / (double)D;
  }
  for (size_t d = 0; d < D; d++) {
    double g = (double)dy[d] * (w ? w[d] : 1.0f), n = (x[d] - mean) * rstd;
    dx[d] = (float)(dx[d] + rstd * (g - mean_g - n * mean_gn));
  }
}

void ef_ref_layernorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                               const float *mean, const float *rstd, float *dx, float *dw, float *db) {
  for (size_t r = 0; r < R; r++) {
    layernorm_row_backward(D, dy + r * D, x + r * D, w, mean[r], rstd[r], dx + r * D);
  }
  for (size_t d = 0; d < D; d++) {
    double sum_w = 0.0, sum_b = 0.0;
    for (size_t r = 0; r < R; r++) {
      double n = ((double)x[r * D + d] - mean[r]) * rstd[r];
      sum_w += dy[r * D + d] * n;
      sum_b += dy[r * D + d];
    }
    if (dw) dw[d] = (float)(dw[d] + sum_w);
    if (db) db[d] = (float)(db[d] + sum_b);
  }
}

void ef_ref_rmsnorm(size_t R, size_t D, float eps, const float *x, const float *w, float *y, float *rstd) {
  for (size_t r = 0; r < R; r++) {
    double inverse = 1.0 / sqrt(row_moment(D, x + r * D, 0.0) + eps);
    for (size_t d = 0; d < D; d++) y[r * D + d] = (float)(x[r * D + d] * inverse * w[d]);
    rstd[r] = (float)inverse;
  }
}

void ef_ref_rmsnorm_backward(size_t R, size_t D, const float *dy, const float *x, const float *w,
                             const float *rstd, float *dx, float *dw) {
  for (size_t r = 0; r < R; r++) {
    double inverse = rstd[r], mean_gn = 0.0;
    for (size_t d = 0; d < D; d++) {
      mean_gn += (double)dy[r * D + d] * w[d] * x[r * D + d] * inverse / (double)D;
    }
    for (size_t d = 0; d < D; d++) {
      double g = (double)dy[r * D + d] * w[d], n = x[r * D + d] * inverse;
      dx[r * D + d] = (float)(dx[r * D + d] + inverse * (g - n * mean_gn));
    }
  }
  for (size_t d = 0; d < D; d++) {
    double sum = dw[d];
    for (size_t r = 0; r < R; r++) sum += (double)dy[r * D + d] * x[r * D + d] * rstd[r];
    dw[d] = (float)sum;
  }
}
