#include "model/pass_internal.h"
#include <math.h>

/* Angles in float32, as the modelling code of Hugging Face. */
void ef_rope_tables(const ef_dims *dims, size_t T, float *cos, float *sin) {
  size_t half = dims->h / 2;
  for (size_t t = 0; t < T; t++) {
    for (size_t i = 0; i < half; i++) {
      float inverse = 1.0f / powf(dims->rope_theta, (float)(2 * i) / (float)dims->h);
      float angle = (float)t * inverse;
      cos[t * half + i] = cosf(angle);
      sin[t * half + i] = sinf(angle);
    }
  }
}

/* Press, Smith and Lewis, "Train short, test long" (ICLR 2022): powers of 2^(-8/n) for n heads, n a power of
 * two; further heads take every other power of 2^(-4/n). */
void ef_alibi_slopes(size_t H, float *slopes) {
  size_t n = 1;
  while (2 * n <= H) n *= 2;
  float base = (float)exp2(-8.0 / (double)n), between = (float)exp2(-4.0 / (double)n);
  for (size_t i = 0; i < H; i++) {
    slopes[i] = i < n ? powf(base, (float)(i + 1)) : powf(between, (float)(2 * (i - n) + 1));
  }
}
