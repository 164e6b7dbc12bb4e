/* Mixture of experts: tokens sorted by expert, gathered, and combined again, with their gradients. */
#include "ops.h"
#include "reduce.h"

#include <string.h>

/* A counting sort. `count` first holds the next free place of each expert, then is turned back into counts.
 */
void ef_blas_moe_sort(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count, int32_t *source,
                      int32_t *position) {
  memset(count, 0, E * sizeof *count);
  for (size_t i = 0; i < R * K; i++) count[experts[i]]++;
  size_t start = 0;
  for (size_t e = 0; e < E; e++) {
    size_t n = count[e];
    count[e] = start;
    start += n;
  }
  for (size_t i = 0; i < R * K; i++) {
    size_t p = count[experts[i]]++;
    source[p] = (int32_t)i;
    position[i] = (int32_t)p;
  }
  for (size_t e = E; e-- > 1;) count[e] -= count[e - 1];
}

void ef_blas_moe_gather(size_t R, size_t K, size_t D, const int32_t *source, const float *x, float *xs) {
  for (size_t p = 0; p < R * K; p++) memcpy(xs + p * D, x + (size_t)source[p] / K * D, D * sizeof *xs);
}

void ef_blas_moe_combine(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                         const float *ys, float *y) {
  for (size_t r = 0; r < R; r++)
    for (size_t i = r * K; i < (r + 1) * K; i++)
      ef_blas_axpy(D, weights[i], ys + (size_t)position[i] * D, y + r * D);
}

void ef_blas_moe_combine_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                                  const float *ys, const float *dy, float *dys, float *dweights) {
  for (size_t r = 0; r < R; r++, dy += D)
    for (size_t i = r * K; i < (r + 1) * K; i++) {
      size_t at = (size_t)position[i] * D;
      float w = weights[i], *d = dys + at;
      dweights[i] = ef_dot(D, dy, ys + at);
#pragma omp simd
      for (size_t c = 0; c < D; c++) d[c] = w * dy[c];
    }
}

void ef_blas_moe_gather_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *dxs,
                                 float *dx) {
  for (size_t r = 0; r < R; r++)
    for (size_t i = r * K; i < (r + 1) * K; i++) ef_blas_add(D, dxs + (size_t)position[i] * D, dx + r * D);
}
