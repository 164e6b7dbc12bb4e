/* The blas backend against the reference: router, sorting, gather and combine, forward and backward. */
#include "test_blas.h"

#include <criterion/criterion.h>
#include <string.h>

static const size_t shapes[][4] = {/* R, E, K, D */ {0, 4, 2, 8},
                                   {1, 1, 1, 1},
                                   {5, 3, 3, 17},
                                   {33, 16, 4, 33},
                                   {70, 60, 4, 31},
                                   {40, 64, 6, 64}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void compare_router(size_t R, size_t E, size_t K, int normalise, const float *aux, size_t aux_rows,
                           float spread) {
  const float *logits = kt_input(R * E, spread), *dweights = kt_input(R * K, 1.0f);
  float *probs[2], *weights[2], *dlogits[2];
  int32_t *experts[2];
  for (int i = 0; i < 2; i++) {
    const ef_kernels *k = i ? ref() : blas();
    probs[i] = kt_floats(R * E), weights[i] = kt_floats(R * K), dlogits[i] = kt_floats(R * E);
    experts[i] = kt_ints(R * K);
    k->router(R, E, K, normalise, 1e-20f, logits, probs[i], experts[i], weights[i]);
    k->router_backward(R, E, K, normalise, 1e-20f, probs[i], experts[i], weights[i], dweights, aux, aux_rows,
                       dlogits[i]);
  }
  cr_assert_eq(memcmp(experts[0], experts[1], R * K * sizeof(int32_t)), 0, "chosen experts differ");
  blas_match("probs", R * E, probs[0], probs[1]);
  blas_match("weights", R * K, weights[0], weights[1]);
  blas_match("dlogits", R * E, dlogits[0], dlogits[1]);
  double *count[2], *sum[2];
  for (int i = 0; i < 2; i++) {
    count[i] = kt_doubles(E), sum[i] = kt_doubles(E);
    (i ? ref() : blas())->router_stats(R, E, K, probs[0], experts[0], count[i], sum[i]);
  }
  for (size_t e = 0; e < E; e++) {
    cr_assert_eq(count[0][e], count[1][e]);
    cr_assert_float_eq(sum[0][e], sum[1][e], 1e-12 * (double)(R + 1));
  }
  kt_done();
}

Test(blas_against_ref_moe, router) {
  for (size_t s = 0; s < SHAPES; s++)
    for (int normalise = 0; normalise < 2; normalise++) {
      const size_t *d = shapes[s], aux_rows = 5, groups = d[0] / aux_rows + 1;
      compare_router(d[0], d[1], d[2], normalise, NULL, 1, 2.0f);
      compare_router(d[0], d[1], d[2], normalise, kt_input(groups * d[1], 1.0f), aux_rows, 2.0f);
      compare_router(d[0], d[1], d[2], normalise, NULL, 1, 40.0f);
    }
}

Test(blas_against_ref_moe, router_of_equal_logits_takes_the_first) {
  float logits[20] = {0}, probs[20], weights[3];
  int32_t experts[3];
  blas()->router(1, 20, 3, 1, 0.0f, logits, probs, experts, weights);
  for (int32_t i = 0; i < 3; i++) cr_assert_eq(experts[i], i);
}

Test(blas_against_ref_moe, aux_loss) {
  double count[21], sum[21];
  float got[21], want[21];
  for (size_t i = 0; i < 21; i++) {
    count[i] = (double)(i * 7 % 5);
    sum[i] = 0.1 * (double)i;
  }
  double a = blas()->aux_loss(3, 7, 0.3, count, sum, got), b = ref()->aux_loss(3, 7, 0.3, count, sum, want);
  cr_assert_float_eq(a, b, 1e-12);
  kt_equal("coef", 21, got, want);
}

static void compare_tokens(size_t R, size_t E, size_t K, size_t D) {
  const int32_t *experts = kt_indices(R * K, E); /* repeats in a row are harmless to these operations */
  const float *x = kt_input(R * D, 1.0f), *w = kt_input(R * K, 1.0f), *ys = kt_input(R * K * D, 1.0f);
  const float *start = kt_input(R * D, 1.0f);
  size_t *count[2];
  int32_t *source[2], *position[2];
  float *xs[2], *y[2], *dys[2], *dw[2], *dx[2];
  for (int i = 0; i < 2; i++) {
    const ef_kernels *k = i ? ref() : blas();
    count[i] = kt_bytes(E * sizeof(size_t)), source[i] = kt_ints(R * K), position[i] = kt_ints(R * K);
    xs[i] = kt_floats(R * K * D), y[i] = kt_copy(R * D, start), dys[i] = kt_floats(R * K * D);
    dw[i] = kt_floats(R * K), dx[i] = kt_copy(R * D, start);
    k->moe_sort(R, E, K, experts, count[i], source[i], position[i]);
    k->moe_gather(R, K, D, source[i], x, xs[i]);
    k->moe_combine(R, K, D, position[i], w, ys, y[i]);
    k->moe_combine_backward(R, K, D, position[i], w, ys, x, dys[i], dw[i]);
    k->moe_gather_backward(R, K, D, position[i], ys, dx[i]);
  }
  cr_assert_eq(memcmp(count[0], count[1], E * sizeof(size_t)), 0, "counts differ");
  cr_assert_eq(memcmp(source[0], source[1], R * K * sizeof(int32_t)), 0, "sources differ");
  cr_assert_eq(memcmp(position[0], position[1], R * K * sizeof(int32_t)), 0, "positions differ");
  kt_equal("moe_gather", R * K * D, xs[0], xs[1]);
  blas_match("moe_combine", R * D, y[0], y[1]);
  blas_match("moe_combine dys", R * K * D, dys[0], dys[1]);
  blas_match("moe_combine dweights", R * K, dw[0], dw[1]);
  blas_match("moe_gather dx", R * D, dx[0], dx[1]);
  kt_done();
}

Test(blas_against_ref_moe, tokens) {
  for (size_t s = 0; s < SHAPES; s++) compare_tokens(shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3]);
}
