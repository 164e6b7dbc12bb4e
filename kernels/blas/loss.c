/* Softmax cross-entropy fused with its gradient, and mixtures of softmax. */
#include "ops.h"
#include "softmax.h"

#include <math.h>
#include <string.h>

/* 1 if x[target] is the maximum `top` and no earlier element equals it. */
static uint8_t is_first_maximum(const float *x, float top, size_t target) {
  if (!(x[target] == top)) return 0;
  int32_t earlier = 0;
#pragma omp simd reduction(| : earlier)
  for (size_t i = 0; i < target; i++) earlier |= x[i] == top;
  return earlier == 0;
}

static float cross_entropy_row(size_t V, const float *x, size_t target, float scale, uint8_t *hit,
                               float *dx) {
  float top = ef_max(V, x), wanted = x[target];
  if (hit) *hit = is_first_maximum(x, top, target);
  double sum;
  if (dx) {
    ef_exp_row(V, x, top, 1.0f, dx);
    sum = (double)ef_sum(V, dx);
    ef_blas_scale(V, (float)((double)scale / sum), dx);
    dx[target] -= scale;
  } else {
    sum = ef_exp_sum(V, x, top, 1.0f);
  }
  return (float)(log(sum) + ((double)top - (double)wanted));
}

void ef_blas_cross_entropy(size_t R, size_t V, const float *logits, const int32_t *targets, float scale,
                           float *losses, uint8_t *hits, float *dlogits) {
  for (size_t r = 0; r < R; r++) {
    float *d = dlogits ? dlogits + r * V : NULL;
    uint8_t *hit = hits ? hits + r : NULL;
    if (targets[r] != EF_IGNORE) {
      losses[r] = cross_entropy_row(V, logits + r * V, (size_t)targets[r], scale, hit, d);
      continue;
    }
    losses[r] = 0.0f;
    if (hit) *hit = 0;
    if (d) memset(d, 0, V * sizeof *d);
  }
}

void ef_blas_mix_softmax(size_t R, size_t V, float weight, float *x, float *y) {
  for (size_t r = 0; r < R; r++, x += V, y += V) {
    ef_exp_row(V, x, ef_max(V, x), 1.0f, x);
    ef_blas_axpy(V, (float)((double)weight / (double)ef_sum(V, x)), x, y);
  }
}
