#include "kernels/ref/ref.h"

void ef_ref_moe_sort(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count, int32_t *source,
                     int32_t *position) {
  size_t sorted = 0;
  for (size_t e = 0; e < E; e++) {
    size_t first = sorted;
    for (size_t i = 0; i < R * K; i++) {
      if ((size_t)experts[i] != e) continue;
      source[sorted] = (int32_t)i;
      position[i] = (int32_t)sorted++;
    }
    count[e] = sorted - first;
  }
}

void ef_ref_moe_gather(size_t R, size_t K, size_t D, const int32_t *source, const float *x, float *xs) {
  for (size_t i = 0; i < R * K; i++) {
    const float *row = x + (size_t)source[i] / K * D; /* (D) */
    for (size_t d = 0; d < D; d++) xs[i * D + d] = row[d];
  }
}

void ef_ref_moe_combine(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                        const float *ys, float *y) {
  for (size_t r = 0; r < R; r++) {
    for (size_t d = 0; d < D; d++) {
      double sum = y[r * D + d];
      for (size_t i = r * K; i < (r + 1) * K; i++)
        sum += (double)weights[i] * ys[(size_t)position[i] * D + d];
      y[r * D + d] = (float)sum;
    }
  }
}

void ef_ref_moe_combine_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *weights,
                                 const float *ys, const float *dy, float *dys, float *dweights) {
  for (size_t i = 0; i < R * K; i++) {
    const float *dy_row = dy + i / K * D; /* (D) */
    size_t at = (size_t)position[i] * D;
    double sum = 0.0;
    for (size_t d = 0; d < D; d++) {
      dys[at + d] = weights[i] * dy_row[d];
      sum += (double)ys[at + d] * dy_row[d];
    }
    dweights[i] = (float)sum;
  }
}

void ef_ref_moe_gather_backward(size_t R, size_t K, size_t D, const int32_t *position, const float *dxs,
                                float *dx) {
  for (size_t r = 0; r < R; r++) {
    for (size_t d = 0; d < D; d++) {
      double sum = dx[r * D + d];
      for (size_t i = r * K; i < (r + 1) * K; i++) sum += dxs[(size_t)position[i] * D + d];
      dx[r * D + d] = (float)sum;
    }
  }
}
