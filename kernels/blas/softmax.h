/* Pieces of softmax over one row, shared by router, losses and distillation. Private to kernels/blas.
 * Sums of exponentials go through a small buffer that stays in cache: exponentials in one vectorised loop,
 * their sum in the fixed order of reduce.h, chunk sums in double.
 */
#pragma once

#include "reduce.h"

enum { EF_CHUNK = 1024 };

/* y = exp(rate * (x - top)), where top is the largest x; y may be x. */
static inline void ef_exp_row(size_t n, const float *x, float top, float rate, float *y) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) y[i] = ef_exp_softmax(rate * (x[i] - top));
}

/* sum of exp(rate * (x - top)). */
static inline double ef_exp_sum(size_t n, const float *x, float top, float rate) {
  float e[EF_CHUNK];
  double s = 0.0;
  for (size_t c = 0; c < n; c += EF_CHUNK) {
    size_t width = n - c < EF_CHUNK ? n - c : EF_CHUNK;
    ef_exp_row(width, x + c, top, rate, e);
    s += (double)ef_sum(width, e);
  }
  return s;
}
