/* Small matrix products for the attention, whose inner or outer size is a head width: a library routine would
 * spend its time on packing. Private to kernels/blas.
 */
#pragma once

#include "reduce.h"

/* Columns of one panel of a packed operand. */
enum { EF_PANEL = 2 * EF_LANES };

/* C (M,N; ldc) = alpha A B, plus C if `add` (else C is not read). A(i,k) = A[i*a_row + k*a_col], so that A
 * may be transposed; B is (K,N; ldb). Each element is one sum in the order of k, whatever M and N. Local. */
void ef_tile_product(size_t M, size_t N, size_t K, float alpha, const float *A, size_t a_row, size_t a_col,
                     const float *B, size_t ldb, int add, float *C, size_t ldc);

/* Floats of a packed transpose of n rows of width h. */
static inline size_t ef_packed_size(size_t n, size_t h) {
  return (n + EF_PANEL - 1) / EF_PANEL * EF_PANEL * h;
}

/* packed: the transpose of x (n rows of width h, `row` apart) in panels of EF_PANEL columns, each
 * (h,EF_PANEL); the last is filled up with zeros. Local. */
void ef_pack_transpose(size_t n, size_t h, const float *x, size_t row, float *packed);

/* C (M, n rounded up to EF_PANEL; ldc) = alpha A (M,K; lda) B, B packed with ef_pack_transpose from n rows.
 * Local. */
void ef_packed_product(size_t M, size_t n, size_t K, float alpha, const float *A, size_t lda,
                       const float *packed, float *C, size_t ldc);
