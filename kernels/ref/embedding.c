#include "kernels/ref/ref.h"

void ef_ref_embedding(size_t R, size_t D, const int32_t *ids, const float *table, float *y) {
  for (size_t r = 0; r < R; r++) {
    for (size_t d = 0; d < D; d++) y[r * D + d] = table[(size_t)ids[r] * D + d];
  }
}

void ef_ref_embedding_backward(size_t R, size_t D, const int32_t *ids, const float *dy, float *dtable) {
  for (size_t r = 0; r < R; r++) {
    for (size_t d = 0; d < D; d++) dtable[(size_t)ids[r] * D + d] += dy[r * D + d];
  }
}
