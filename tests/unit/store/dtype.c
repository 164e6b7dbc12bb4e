/* Narrow floats against a rounding written from their definition: the nearest value, ties to the even code.
 */
#include "store/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* Value of a code with `e` exponent and `f` fraction bits, in double. */
static double value_of(unsigned code, int e, int f) {
  int sign = (int)(code >> (e + f)), exponent = (int)(code >> f & ((1u << e) - 1)), bias = (1 << (e - 1)) - 1;
  double fraction = (double)(code & ((1u << f) - 1)) / (double)(1 << f), x;
  if (exponent == (1 << e) - 1) {
    x = fraction > 0 ? (double)NAN : (double)INFINITY;
  } else {
    x = exponent == 0 ? ldexp(fraction, 1 - bias) : ldexp(1.0 + fraction, exponent - bias);
  }
  return sign ? -x : x;
}

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static bool same(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

Test(dtype, every_code_widens_and_returns) {
  for (unsigned code = 0; code < 65536; code++) {
    double b = value_of(code, 8, 7), h = value_of(code, 5, 10);
    if (isnan(b)) {
      cr_assert(isnan(ef_bf16_to_f32((uint16_t)code)) && isnan(ef_bf16_to_f32(ef_bf16_from_f32((float)b))));
    } else {
      cr_assert(same(ef_bf16_to_f32((uint16_t)code), (float)b), "bf16 %04x", code);
      cr_assert_eq(ef_bf16_from_f32((float)b), code, "bf16 %04x", code);
    }
    if (isnan(h)) {
      cr_assert(isnan(ef_f16_to_f32((uint16_t)code)) && isnan(ef_f16_to_f32(ef_f16_from_f32((float)h))));
    } else {
      cr_assert(same(ef_f16_to_f32((uint16_t)code), (float)h), "f16 %04x", code);
      cr_assert_eq(ef_f16_from_f32((float)h), code, "f16 %04x", code);
    }
  }
}

/* Around every midpoint of neighbouring codes: below goes down, above goes up, the tie to the even code. */
static void check_midpoints(int e, int f, uint16_t (*narrow)(float)) {
  unsigned infinity = (unsigned)((1 << e) - 1) << f;
  for (unsigned code = 0; code < infinity; code++) {
    double low = value_of(code, e, f),
           high = code + 1 < infinity ? value_of(code + 1, e, f) : 2 * low - value_of(code - 1, e, f);
    float middle = (float)((low + high) / 2);
    if ((double)middle != (low + high) / 2) continue; /* beyond float's own subnormals */
    unsigned even = code % 2 == 0 ? code : code + 1;
    cr_assert_eq(narrow(middle), even, "tie above %04x", code);
    cr_assert_eq(narrow(-middle), even | 0x8000u, "tie below -%04x", code);
    cr_assert_eq(narrow(nextafterf(middle, 0.0f)), code, "below the tie above %04x", code);
    cr_assert_eq(narrow(nextafterf(middle, INFINITY)), code + 1, "above the tie above %04x", code);
  }
}

Test(dtype, bf16_rounds_to_nearest_even) { check_midpoints(8, 7, ef_bf16_from_f32); }
Test(dtype, f16_rounds_to_nearest_even) { check_midpoints(5, 10, ef_f16_from_f32); }

Test(dtype, extremes) {
  cr_assert_eq(ef_f16_from_f32(1e30f), 0x7c00);
  cr_assert_eq(ef_f16_from_f32(-INFINITY), 0xfc00);
  cr_assert_eq(ef_bf16_from_f32(3.4028235e38f), 0x7f80);
  cr_assert(isnan(ef_bf16_to_f32(ef_bf16_from_f32(float_of(0x7f800001u)))));
  cr_assert(isnan(ef_f16_to_f32(ef_f16_from_f32(float_of(0x7f800001u)))));
  cr_assert_eq(ef_f16_from_f32(float_of(1)), 0);
}

Test(dtype, names) {
  ef_dtype type;
  cr_assert(ef_dtype_find("BF16", &type) && type == EF_DT_BF16);
  cr_assert(ef_dtype_find("U8", &type) && type == EF_DT_OTHER);
  cr_assert(!ef_dtype_find("float", &type));
  cr_assert_str_eq(ef_dtype_name(EF_DT_F16), "F16");
}
