/* Sums along one array in a fixed order: EF_LANES * 4 running sums, then a tree. The order depends on the
 * length alone. (The compiler may start a vectorised sum at an aligned address, and then the bits of the
 * result depend on the address; explicit vectors rule that out.) Private to kernels/blas.
 */
#pragma once

#include "vmath.h"

#include <stddef.h>

#if defined(__AVX512F__)
#define EF_VECTOR_BYTES 64
#elif defined(__AVX__)
#define EF_VECTOR_BYTES 32
#else
#define EF_VECTOR_BYTES 16
#endif
enum { EF_LANES = EF_VECTOR_BYTES / 4 };

/* Some floats at once; readable at any address, and over any float array. */
typedef float ef_vec __attribute__((vector_size(EF_VECTOR_BYTES), aligned(4), may_alias));

static inline ef_vec ef_load(const float *x) { return *(const ef_vec *)x; }

typedef float ef_vec8 __attribute__((vector_size(32)));
typedef float ef_vec4 __attribute__((vector_size(16)));

/* Lane by lane the larger one of two vectors of any width. */
#define EF_VEC_MAX(x, y)                                                                                     \
  ((__typeof__(x))(((__typeof__((y) > (x)))(y) & ((y) > (x))) | ((__typeof__((y) > (x)))(x) & ~((y) > (x)))))

/* Splits the lanes of a vector into `low` and `high`; memcpy between vectors is a move between registers. */
#define EF_SPLIT(type, a, low, high)                                                                         \
  type low, high;                                                                                            \
  memcpy(&low, &(a), sizeof low);                                                                            \
  memcpy(&high, (const char *)&(a) + sizeof low, sizeof high)

/* Sum of the lanes, and the largest lane, in halves. */
static inline float ef_sum_four(ef_vec4 a) { return (a[0] + a[2]) + (a[1] + a[3]); }

static inline float ef_max_four(ef_vec4 a) {
  float x = a[2] > a[0] ? a[2] : a[0], y = a[3] > a[1] ? a[3] : a[1];
  return y > x ? y : x;
}

#if EF_VECTOR_BYTES > 16
static inline float ef_sum_eight(const ef_vec8 *a) {
  EF_SPLIT(ef_vec4, *a, low, high);
  return ef_sum_four(low + high);
}

static inline float ef_max_eight(const ef_vec8 *a) {
  EF_SPLIT(ef_vec4, *a, low, high);
  return ef_max_four(EF_VEC_MAX(low, high));
}
#endif

static inline float ef_lane_sum(ef_vec a) {
#if EF_VECTOR_BYTES == 64
  EF_SPLIT(ef_vec8, a, low, high);
  low += high;
  return ef_sum_eight(&low);
#elif EF_VECTOR_BYTES == 32
  return ef_sum_eight((const ef_vec8 *)&a);
#else
  return ef_sum_four(a);
#endif
}

static inline float ef_lane_max(ef_vec a) {
#if EF_VECTOR_BYTES == 64
  EF_SPLIT(ef_vec8, a, low, high);
  low = EF_VEC_MAX(low, high);
  return ef_max_eight(&low);
#elif EF_VECTOR_BYTES == 32
  return ef_max_eight((const ef_vec8 *)&a);
#else
  return ef_max_four(a);
#endif
}

/* The common frame: TERM is the vector expression at index i, LAST the scalar one. */
#define EF_REDUCE(n, TERM, LAST)                                                                             \
  ef_vec a0 = {0}, a1 = {0}, a2 = {0}, a3 = {0};                                                             \
  size_t i = 0;                                                                                              \
  for (; i + 4 * EF_LANES <= (n); i += EF_LANES) { /* TERM reads i */                                        \
    a0 += TERM, i += EF_LANES;                                                                               \
    a1 += TERM, i += EF_LANES;                                                                               \
    a2 += TERM, i += EF_LANES;                                                                               \
    a3 += TERM;                                                                                              \
  }                                                                                                          \
  for (; i + EF_LANES <= (n); i += EF_LANES) a0 += TERM;                                                     \
  float s = ef_lane_sum((a0 + a1) + (a2 + a3));                                                              \
  for (; i < (n); i++) s += LAST;                                                                            \
  return s

static inline float ef_sum(size_t n, const float *x) { EF_REDUCE(n, ef_load(x + i), x[i]); }

static inline float ef_dot(size_t n, const float *x, const float *y) {
  EF_REDUCE(n, ef_load(x + i) * ef_load(y + i), x[i] * y[i]);
}

static inline float ef_dot3(size_t n, const float *x, const float *y, const float *z) {
  EF_REDUCE(n, ef_load(x + i) * ef_load(y + i) * ef_load(z + i), x[i] * y[i] * z[i]);
}

/* sum of (x - mean)^2 */
static inline float ef_square_deviation(size_t n, const float *x, float mean) {
  EF_REDUCE(n, (ef_load(x + i) - mean) * (ef_load(x + i) - mean), (x[i] - mean) * (x[i] - mean));
}

/* sum of y (x - mean) */
static inline float ef_dot_deviation(size_t n, const float *y, const float *x, float mean) {
  EF_REDUCE(n, ef_load(y + i) * (ef_load(x + i) - mean), y[i] * (x[i] - mean));
}

/* sum of y w (x - mean) */
static inline float ef_dot3_deviation(size_t n, const float *y, const float *w, const float *x, float mean) {
  EF_REDUCE(n, ef_load(y + i) * ef_load(w + i) * (ef_load(x + i) - mean), y[i] * w[i] * (x[i] - mean));
}

static inline ef_vec ef_larger(ef_vec a, const float *x) {
  const ef_vec b = ef_load(x);
  return EF_VEC_MAX(a, b);
}

/* Largest element; -inf for none; NaNs are passed over. */
static inline float ef_max(size_t n, const float *x) {
  ef_vec a0 = (ef_vec){0} - __builtin_inff(), a1 = a0, a2 = a0, a3 = a0;
  size_t i = 0;
  for (; i + 4 * EF_LANES <= n; i += 4 * EF_LANES) {
    a0 = ef_larger(a0, x + i);
    a1 = ef_larger(a1, x + i + EF_LANES);
    a2 = ef_larger(a2, x + i + 2 * EF_LANES);
    a3 = ef_larger(a3, x + i + 3 * EF_LANES);
  }
  for (; i + EF_LANES <= n; i += EF_LANES) a0 = ef_larger(a0, x + i);
  a0 = EF_VEC_MAX(a0, a1), a2 = EF_VEC_MAX(a2, a3), a0 = EF_VEC_MAX(a0, a2);
  float m = ef_lane_max(a0);
  for (; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}
