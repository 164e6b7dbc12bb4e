/* A tile of C is held in registers while k runs: TILE_ROWS broadcast elements of A times one or two vectors
 * of B. */
#include "tile.h"

#if defined(__FMA__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) /* 32 registers */
enum { TILE_ROWS = 8 };
#else
enum { TILE_ROWS = 4 };
#endif

/* a * b + c, in one instruction where the machine has it. */
static inline ef_vec multiply_add(ef_vec a, ef_vec b, ef_vec c) {
#if defined(__AVX512F__)
  return (ef_vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (ef_vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

/* Operands of one call; see ef_tile_product. */
typedef struct product {
  size_t K;
  float alpha;
  const float *A;
  size_t a_row, a_col;
  const float *B;
  size_t ldb;
  int add;
  float *C;
  size_t ldc;
} product;

/* The tile at row i and column j; `rows` and `vectors` are constants at every call, so that all loops but one
 * vanish and `sum` lives in registers. */
static inline __attribute__((always_inline)) void tile(const product *p, size_t i, size_t j, size_t rows,
                                                       size_t vectors) {
  const size_t K = p->K, a_row = p->a_row, a_col = p->a_col, ldb = p->ldb;
  const float *A = p->A + i * a_row, *B = p->B + j;
  ef_vec sum[TILE_ROWS][2] = {{{0}}};
  for (size_t k = 0; k < K; k++, A += a_col, B += ldb) {
    ef_vec b[2];
    for (size_t v = 0; v < vectors; v++) b[v] = ef_load(B + v * EF_LANES);
    for (size_t r = 0; r < rows; r++) {
      const ef_vec a = A[r * a_row] - (ef_vec){0};
      for (size_t v = 0; v < vectors; v++) sum[r][v] = multiply_add(a, b[v], sum[r][v]);
    }
  }
  for (size_t r = 0; r < rows; r++)
    for (size_t v = 0; v < vectors; v++) {
      ef_vec *c = (ef_vec *)(p->C + (i + r) * p->ldc + j + v * EF_LANES);
      *c = p->add ? *c + p->alpha * sum[r][v] : p->alpha * sum[r][v];
    }
}

static void tile_scalar(const product *p, size_t i, size_t j) {
  float sum = 0.0f, *c = p->C + i * p->ldc + j;
  for (size_t k = 0; k < p->K; k++)
    sum = EF_FMA(p->A[i * p->a_row + k * p->a_col], p->B[k * p->ldb + j], sum);
  *c = p->add ? *c + p->alpha * sum : p->alpha * sum;
}

/* All rows of the columns that `vectors` vectors at j cover. */
static inline __attribute__((always_inline)) void tile_column(const product *p, size_t M, size_t j,
                                                              size_t vectors) {
  size_t i = 0;
  for (; i + TILE_ROWS <= M; i += TILE_ROWS) tile(p, i, j, TILE_ROWS, vectors);
  for (; i < M; i++) tile(p, i, j, 1, vectors);
}

void ef_tile_product(size_t M, size_t N, size_t K, float alpha, const float *A, size_t a_row, size_t a_col,
                     const float *B, size_t ldb, int add, float *C, size_t ldc) {
  const product p = {K, alpha, A, a_row, a_col, B, ldb, add, C, ldc};
  size_t j = 0;
  for (; j + 2 * EF_LANES <= N; j += 2 * EF_LANES) tile_column(&p, M, j, 2);
  for (; j + EF_LANES <= N; j += EF_LANES) tile_column(&p, M, j, 1);
  for (; j < N; j++)
    for (size_t i = 0; i < M; i++) tile_scalar(&p, i, j);
}

void ef_pack_transpose(size_t n, size_t h, const float *x, size_t row, float *packed) {
  for (size_t j0 = 0; j0 < n; j0 += EF_PANEL, packed += EF_PANEL * h) {
    const size_t width = n - j0 < EF_PANEL ? n - j0 : EF_PANEL;
    for (size_t c = 0; c < h; c++) {
      float *to = packed + c * EF_PANEL;
      for (size_t j = 0; j < width; j++) to[j] = x[(j0 + j) * row + c];
      for (size_t j = width; j < EF_PANEL; j++) to[j] = 0.0f;
    }
  }
}

void ef_packed_product(size_t M, size_t n, size_t K, float alpha, const float *A, size_t lda,
                       const float *packed, float *C, size_t ldc) {
  for (size_t j = 0; j < n; j += EF_PANEL, packed += EF_PANEL * K)
    ef_tile_product(M, EF_PANEL, K, alpha, A, lda, 1, packed, EF_PANEL, 0, C + j, ldc);
}
