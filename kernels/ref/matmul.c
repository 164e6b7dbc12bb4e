#include "kernels/ref/ref.h"

void ef_ref_matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                   const float *B, size_t ldb, float beta, float *C, size_t ldc) {
  for (size_t i = 0; i < M; i++) {
    for (size_t j = 0; j < N; j++) {
      double sum = beta != 0.0f ? (double)beta * C[i * ldc + j] : 0.0;
      for (size_t k = 0; k < K; k++) {
        double a = transA ? A[k * lda + i] : A[i * lda + k];
        double b = transB ? B[j * ldb + k] : B[k * ldb + j];
        sum += a * b;
      }
      C[i * ldc + j] = (float)sum;
    }
  }
}

void ef_ref_bias_add(size_t R, size_t N, const float *bias, float *y, size_t ldy) {
  for (size_t r = 0; r < R; r++) {
    for (size_t j = 0; j < N; j++) y[r * ldy + j] += bias[j];
  }
}

void ef_ref_bias_backward(size_t R, size_t N, const float *dy, size_t ldy, float *dbias) {
  for (size_t j = 0; j < N; j++) {
    double sum = dbias[j];
    for (size_t r = 0; r < R; r++) sum += dy[r * ldy + j];
    dbias[j] = (float)sum;
  }
}
