#include "store/dtype.h"

#include "store/safetensors.h"
#include <string.h>

static const struct {
  const char *name;
  ef_dtype type;
  size_t bytes;
} types[] = {
    {"F32", EF_DT_F32, 4},    {"BF16", EF_DT_BF16, 2},     {"F16", EF_DT_F16, 2},
    {"F64", EF_DT_F64, 8},    {"I64", EF_DT_I64, 8},       {"I32", EF_DT_I32, 4},
    {"I16", EF_DT_OTHER, 2},  {"I8", EF_DT_OTHER, 1},      {"U64", EF_DT_OTHER, 8},
    {"U32", EF_DT_OTHER, 4},  {"U16", EF_DT_OTHER, 2},     {"U8", EF_DT_OTHER, 1},
    {"BOOL", EF_DT_OTHER, 1}, {"F8_E4M3", EF_DT_OTHER, 1}, {"F8_E5M2", EF_DT_OTHER, 1},
};

enum { TYPES = sizeof types / sizeof types[0] };

const char *ef_dtype_name(ef_dtype dtype) { return dtype == EF_DT_OTHER ? "other" : types[dtype].name; }

bool ef_dtype_find(const char *name, ef_dtype *dtype) { return ef_dtype_bytes(name, dtype) != 0; }

size_t ef_dtype_bytes(const char *name, ef_dtype *dtype) {
  for (size_t i = 0; i < TYPES; i++) {
    if (strcmp(name, types[i].name) != 0) continue;
    *dtype = types[i].type;
    return types[i].bytes;
  }
  return 0;
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Drops the low `n` bits, to nearest, ties to even. */
static uint32_t round_off(uint32_t x, unsigned n) {
  uint32_t half = 1u << (n - 1), odd = (x >> n) & 1u;
  return (x + half - 1 + odd) >> n;
}

uint16_t ef_bf16_from_f32(float x) {
  uint32_t bits = bits_of(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u); /* NaN stays NaN */
  return (uint16_t)round_off(bits, 16);
}

float ef_bf16_to_f32(uint16_t bits) { return float_of((uint32_t)bits << 16); }

void ef_bf16_pack(size_t n, const float *x, unsigned char *message) {
  for (size_t i = 0; i < n; i++) {
    uint16_t bits = ef_bf16_from_f32(x[i]);
    memcpy(message + i * sizeof bits, &bits, sizeof bits);
  }
}

void ef_bf16_unpack(size_t n, const unsigned char *message, float *x) {
  for (size_t i = 0; i < n; i++) {
    uint16_t bits;
    memcpy(&bits, message + i * sizeof bits, sizeof bits);
    x[i] = ef_bf16_to_f32(bits);
  }
}

uint16_t ef_f16_from_f32(float x) {
  uint32_t bits = bits_of(x), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 65536 and more */
  if (magnitude >= 0x38800000u) {                                  /* normal: 2^-14 and more */
    return (uint16_t)(sign | (round_off(magnitude - 0x38000000u, 13)));
  }
  if (magnitude < 0x33000000u) return (uint16_t)sign; /* below half of the least subnormal */
  unsigned shift = 126 - (magnitude >> 23);
  return (uint16_t)(sign | round_off((magnitude & 0x7fffffu) | 0x800000u, shift));
}

float ef_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 0x1fu) return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}
