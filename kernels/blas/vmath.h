/* Inline exponential and sigmoid for loops under "#pragma omp simd": no branches, no calls, only operations
 * that every vector unit has. Multiply-adds are written out, so that scalar remainders and vector bodies
 * round alike. Private to kernels/blas.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define EF_FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define EF_FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float ef_float_of_bits(int32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static inline int32_t ef_bits_of_float(float f) {
  int32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

/* exp(x) = p 2^k for -88 <= x <= 89, |log2 p| <= 1/2: x = k ln2 + r, and p = exp(r) is a polynomial of degree
 * 6 (minimax fit of (exp(r)-1-r)/r^2). */
static inline float ef_exp_parts(float x, int32_t *k) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the low bits */
  float t = EF_FMA(x, 0x1.715476p+0f, magic);
  float n = t - magic;
  float r = EF_FMA(n, -0x1.62e4p-1f, x);
  r = EF_FMA(n, -0x1.7f7d1cp-20f, r);
  float p = EF_FMA(r, 0x1.6a2352p-10f, 0x1.123a6cp-7f);
  p = EF_FMA(p, r, 0x1.5558f4p-5f);
  p = EF_FMA(p, r, 0x1.555490p-3f);
  p = EF_FMA(p, r, 0x1.fffffcp-2f);
  *k = ef_bits_of_float(t) - 0x4b400000;
  return EF_FMA(p, r * r, r) + 1.0f;
}

/* 2^k for -127 <= k <= 127, where 2^-127 is taken as 0. */
static inline float ef_power_of_two(int32_t k) {
  return ef_float_of_bits((int32_t)((uint32_t)(k + 127) << 23));
}

/* exp(x) within 1.1 units in the last place; 0 below the smallest normal result (x < -87.33), inf
 * above 88.73, NaN for NaN. Two factors, because 2^128 is no float. */
static inline float ef_exp(float x) {
  float c = x < -88.0f ? -88.0f : x;
  c = c > 89.0f ? 89.0f : c;
  int32_t k;
  float p = ef_exp_parts(c, &k);
  float y = p * ef_power_of_two(k >> 1) * ef_power_of_two(k - (k >> 1));
  return x < -87.33f ? 0.0f : y;
}

/* The same for x <= 88, as in a softmax, in two thirds of the time; 0 for x < -87.69. */
static inline float ef_exp_softmax(float x) {
  int32_t k;
  float p = ef_exp_parts(x < -88.0f ? -88.0f : x, &k);
  return p * ef_power_of_two(k);
}

/* 1 / (1 + exp(-x)), accurate in relative terms on both sides; 0 and 1 in the limits. */
static inline float ef_sigmoid(float x) { return 1.0f / (1.0f + ef_exp(-x)); }

/* sigmoid(x), and 1 - sigmoid(x) in *complement without cancellation. */
static inline float ef_sigmoid_pair(float x, float *complement) {
  float e = ef_exp(x < -80.0f ? 80.0f : -x); /* bounded, so that e * s is not inf * 0 */
  float s = 1.0f / (1.0f + e);
  *complement = e * s;
  return s;
}
