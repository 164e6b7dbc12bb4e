/* Matrix products through cblas_sgemm. */
#include "ops.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <string.h>

void ef_blas_matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                    const float *B, size_t ldb, float beta, float *C, size_t ldc) {
  if (M == 0 || N == 0) return;
  if (K == 0) { /* BLAS refuses a leading dimension of 0 */
    if (beta == 0.0f)
      for (size_t i = 0; i < M; i++) memset(C + i * ldc, 0, N * sizeof *C);
    return;
  }
  assert(M <= INT_MAX && N <= INT_MAX && K <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
  cblas_sgemm(CblasRowMajor, transA ? CblasTrans : CblasNoTrans, transB ? CblasTrans : CblasNoTrans, (int)M,
              (int)N, (int)K, 1.0f, A, (int)lda, B, (int)ldb, beta, C, (int)ldc);
}
