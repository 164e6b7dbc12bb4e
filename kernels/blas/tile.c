/* A tile of C is held in registers while k runs: TILE_ROWS broadcast elements of A times one or two vectors
 * of B. */
#include "tile.h"

#if defined(__AVX__)
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

/* The first `lanes` lanes of a vector, fewer than all; the others are zero and untouched in memory. */
#if defined(__AVX512F__)
static inline ef_vec load_part(const float *x, size_t lanes) {
  return (ef_vec)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), x);
}
static inline void store_part(float *x, size_t lanes, ef_vec a) {
  _mm512_mask_storeu_ps(x, (__mmask16)((1u << lanes) - 1), (__m512)a);
}
#elif defined(__AVX__)
static inline __m256i part_mask(size_t lanes) {
  static const int ones[2 * EF_LANES] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256((const __m256i *)(ones + EF_LANES - lanes));
}
static inline ef_vec load_part(const float *x, size_t lanes) {
  return (ef_vec)_mm256_maskload_ps(x, part_mask(lanes));
}
static inline void store_part(float *x, size_t lanes, ef_vec a) {
  _mm256_maskstore_ps(x, part_mask(lanes), (__m256)a);
}
#else
static inline ef_vec load_part(const float *x, size_t lanes) {
  ef_vec a = {0};
  for (size_t i = 0; i < lanes; i++) a[i] = x[i];
  return a;
}
static inline void store_part(float *x, size_t lanes, ef_vec a) {
  for (size_t i = 0; i < lanes; i++) x[i] = a[i];
}
#endif

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

/* Shape of a tile: the last of its vectors has `lanes` columns. `rows`, `vectors` and whether the last is
 * whole are constants at every call, so that all loops but one vanish and the sums live in registers. */
typedef struct tile_shape {
  size_t rows, vectors, lanes;
} tile_shape;

static inline __attribute__((always_inline)) int is_part(tile_shape t, size_t v) {
  return v + 1 == t.vectors && t.lanes < EF_LANES;
}

/* The tile at row i and column j. */
static inline __attribute__((always_inline)) void tile(const product *p, size_t i, size_t j, tile_shape t) {
  const size_t K = p->K, a_row = p->a_row, a_col = p->a_col, ldb = p->ldb;
  const float *A = p->A + i * a_row, *B = p->B + j;
  ef_vec sum[TILE_ROWS][2] = {{{0}}};
  for (size_t k = 0; k < K; k++, A += a_col, B += ldb) {
    ef_vec b[2];
    for (size_t v = 0; v < t.vectors; v++) {
      const float *x = B + v * EF_LANES;
      b[v] = is_part(t, v) ? load_part(x, t.lanes) : ef_load(x);
    }
    for (size_t r = 0; r < t.rows; r++) {
      const ef_vec a = A[r * a_row] - (ef_vec){0};
      for (size_t v = 0; v < t.vectors; v++) sum[r][v] = multiply_add(a, b[v], sum[r][v]);
    }
  }
  for (size_t r = 0; r < t.rows; r++)
    for (size_t v = 0; v < t.vectors; v++) {
      float *c = p->C + (i + r) * p->ldc + j + v * EF_LANES;
      if (is_part(t, v)) {
        store_part(c, t.lanes, p->add ? load_part(c, t.lanes) + p->alpha * sum[r][v] : p->alpha * sum[r][v]);
      } else {
        *(ef_vec *)c = p->add ? ef_load(c) + p->alpha * sum[r][v] : p->alpha * sum[r][v];
      }
    }
}

/* All rows of the columns that `vectors` vectors at j cover. */
static inline __attribute__((always_inline)) void tile_column(const product *p, size_t M, size_t j,
                                                              size_t vectors, size_t lanes) {
  size_t i = 0;
  for (; i + TILE_ROWS <= M; i += TILE_ROWS) tile(p, i, j, (tile_shape){TILE_ROWS, vectors, lanes});
  for (; i < M; i++) tile(p, i, j, (tile_shape){1, vectors, lanes});
}

void ef_tile_product(size_t M, size_t N, size_t K, float alpha, const float *A, size_t a_row, size_t a_col,
                     const float *B, size_t ldb, int add, float *C, size_t ldc) {
  const product p = {K, alpha, A, a_row, a_col, B, ldb, add, C, ldc};
  size_t j = 0;
  for (; j + 2 * EF_LANES <= N; j += 2 * EF_LANES) tile_column(&p, M, j, 2, EF_LANES);
  const size_t left = N - j;
  if (left > EF_LANES) {
    tile_column(&p, M, j, 2, left - EF_LANES);
  } else if (left == EF_LANES) {
    tile_column(&p, M, j, 1, EF_LANES);
  } else if (left > 0) {
    tile_column(&p, M, j, 1, left);
  }
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
