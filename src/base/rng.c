#include "base/rng.h"

#include <math.h>

static uint32_t mul_hi_lo(uint32_t a, uint32_t b, uint32_t *lo) {
  uint64_t product = (uint64_t)a * b;
  *lo = (uint32_t)product;
  return (uint32_t)(product >> 32);
}

void ef_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint32_t lo0, lo1;
    uint32_t hi0 = mul_hi_lo(0xD2511F53u, c0, &lo0);
    uint32_t hi1 = mul_hi_lo(0xCD9E8D57u, c2, &lo1);
    c0 = hi1 ^ c1 ^ k0;
    c1 = lo1;
    c2 = hi0 ^ c3 ^ k1;
    c3 = lo0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* One round of splitmix64: spreads seed and purpose over the 64-bit key. */
static uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

ef_rng ef_rng_stream(uint64_t seed, ef_purpose purpose, uint64_t unit, uint32_t step) {
  uint64_t key = mix(mix(seed) + (uint64_t)purpose);
  return (ef_rng){.key = {(uint32_t)key, (uint32_t)(key >> 32)},
                  .counter = {0, step, (uint32_t)unit, (uint32_t)(unit >> 32)},
                  .used = 4};
}

uint32_t ef_rng_u32(ef_rng *rng) {
  if (rng->used == 4) {
    ef_philox(rng->counter, rng->key, rng->out);
    rng->counter[0]++;
    rng->used = 0;
  }
  return rng->out[rng->used++];
}

double ef_rng_uniform(ef_rng *rng) {
  uint64_t hi = ef_rng_u32(rng) >> 5, lo = ef_rng_u32(rng) >> 6;
  return (double)(hi * 67108864u + lo) * (1.0 / 9007199254740992.0);
}

uint64_t ef_rng_below(ef_rng *rng, uint64_t n) {
  uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
  do {
    uint64_t hi = ef_rng_u32(rng);
    x = hi << 32 | ef_rng_u32(rng);
  } while (x >= limit);
  return x % n;
}

double ef_rng_normal(ef_rng *rng) {
  double radius = sqrt(-2.0 * log(1.0 - ef_rng_uniform(rng)));
  return radius * cos(2.0 * 3.14159265358979323846 * ef_rng_uniform(rng));
}

double ef_rng_gamma(ef_rng *rng, double shape) {
  if (shape < 1.0) {
    double u = 1.0 - ef_rng_uniform(rng);
    return ef_rng_gamma(rng, shape + 1.0) * pow(u, 1.0 / shape);
  }
  double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
  for (;;) {
    double x = ef_rng_normal(rng), t = 1.0 + c * x;
    if (t <= 0.0) continue;
    double v = t * t * t, u = 1.0 - ef_rng_uniform(rng);
    if (log(u) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
  }
}
