/* Rotary positions (Su et al. 2021), half rotation as in the Hugging Face models. */
#include "ops.h"
#include "vmath.h"

static void rotate(size_t half, const float *cos, const float *sin, float sign, float *x) {
  float *low = x, *high = x + half;
#pragma omp simd
  for (size_t i = 0; i < half; i++) {
    float a = low[i], b = high[i], s = sign * sin[i];
    low[i] = a * cos[i] - b * s;
    high[i] = b * cos[i] + a * s;
  }
}

void ef_blas_rope(size_t R, size_t heads, size_t h, size_t row, size_t head, const int32_t *positions,
                  const float *cos, const float *sin, int direction, float *x) {
  size_t half = h / 2;
  float sign = direction < 0 ? -1.0f : 1.0f;
  for (size_t r = 0; r < R; r++) {
    size_t angle = (size_t)positions[r] * half;
    for (size_t i = 0; i < heads; i++) rotate(half, cos + angle, sin + angle, sign, x + r * row + i * head);
  }
}
