#include "kernels/ref/ref.h"

#include <math.h>

void ef_ref_add(size_t n, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) y[i] += x[i];
}

void ef_ref_scale(size_t n, float a, float *x) {
  for (size_t i = 0; i < n; i++) x[i] *= a;
}

void ef_ref_axpy(size_t n, float a, const float *x, float *y) {
  for (size_t i = 0; i < n; i++) y[i] = (float)(y[i] + (double)a * x[i]);
}

double ef_ref_sum_squares(size_t n, const float *x) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
  return sum;
}

int ef_ref_all_finite(size_t n, const float *x) {
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(x[i])) return 0;
  }
  return 1;
}
