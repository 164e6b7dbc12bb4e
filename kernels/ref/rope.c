#include "kernels/ref/ref.h"

void ef_ref_rope(size_t R, size_t heads, size_t h, size_t row, size_t head, const int32_t *positions,
                 const float *cos, const float *sin, int direction, float *x) {
  size_t half = h / 2;
  for (size_t r = 0; r < R; r++) {
    const float *cos_row = cos + (size_t)positions[r] * half; /* (h/2) */
    const float *sin_row = sin + (size_t)positions[r] * half; /* (h/2) */
    for (size_t n = 0; n < heads; n++) {
      float *low = x + r * row + n * head, *high = low + half;
      for (size_t i = 0; i < half; i++) {
        double c = cos_row[i], s = direction * (double)sin_row[i], a = low[i], b = high[i];
        low[i] = (float)(a * c - b * s);
        high[i] = (float)(b * c + a * s);
      }
    }
  }
}
