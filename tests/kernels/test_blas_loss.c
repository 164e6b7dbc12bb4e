/* The losses of the blas backend against the reference; and rows that do not know their neighbours. */
#include "test_blas.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const size_t widths[] = {1, 2, 15, 16, 17, 100, 1023, 1024, 1025, 3001};
enum { WIDTHS = sizeof widths / sizeof *widths, ROWS = 6 };

/* Targets with EF_IGNORE here and there, or everywhere. */
static int32_t *labels(size_t R, size_t V, int all_ignored) {
  const int32_t *ids = kt_indices(R, V);
  int32_t *t = kt_ints(R);
  for (size_t r = 0; r < R; r++) t[r] = all_ignored || r % 4 == 2 ? EF_IGNORE : ids[r];
  kt_freeze(t);
  return t;
}

static void compare_cross_entropy(size_t R, size_t V, float spread, int all_ignored) {
  const float *logits = kt_input(R * V, spread);
  const int32_t *t = labels(R, V, all_ignored);
  float *losses = kt_floats(R), *want = kt_floats(R), *d = kt_floats(R * V), *d_want = kt_floats(R * V);
  uint8_t *hits = kt_bytes(R), *hits_want = kt_bytes(R);
  ref()->cross_entropy(R, V, logits, t, 0.3f, want, hits_want, d_want);
  blas()->cross_entropy(R, V, logits, t, 0.3f, losses, hits, d);
  blas_match("losses", R, losses, want);
  blas_match("dlogits", R * V, d, d_want);
  cr_assert_eq(memcmp(hits, hits_want, R), 0, "hits differ");
  blas()->cross_entropy(R, V, logits, t, 0.3f, losses, NULL, NULL);
  blas_match("losses without gradient", R, losses, want);
  float *in_place = kt_copy(R * V, logits);
  blas()->cross_entropy(R, V, in_place, t, 0.3f, losses, NULL, in_place);
  kt_equal("dlogits in place", R * V, in_place, d);
  kt_done();
}

Test(blas_against_ref_loss, cross_entropy) {
  for (size_t s = 0; s < WIDTHS; s++)
    for (int ignored = 0; ignored < 2; ignored++) {
      compare_cross_entropy(ROWS, widths[s], 3.0f, ignored);
      compare_cross_entropy(ROWS, widths[s], 1e4f, ignored);
      compare_cross_entropy(0, widths[s], 1.0f, ignored);
    }
}

Test(blas_against_ref_loss, hit_is_the_lowest_of_equal_maxima) {
  float x[40] = {0}, loss;
  uint8_t hit;
  x[7] = x[20] = x[39] = 2.0f;
  for (int32_t t = 0; t < 40; t++) {
    blas()->cross_entropy(1, 40, x, &t, 1.0f, &loss, &hit, NULL);
    cr_assert_eq(hit, t == 7, "target %d", t);
  }
}

static void compare_kl(size_t R, size_t V, float tau, float spread, int with_targets) {
  const float *teacher = kt_input(R * V, spread), *student = kt_input(R * V, spread);
  const int32_t *t = with_targets ? labels(R, V, 0) : NULL;
  float *losses = kt_floats(R), *want = kt_floats(R), *d = kt_random(R * V, 1.0f),
        *d_want = kt_copy(R * V, d);
  blas()->kl(R, V, tau, teacher, student, t, 0.3f, losses, d);
  ref()->kl(R, V, tau, teacher, student, t, 0.3f, want, d_want);
  blas_match("kl", R, losses, want);
  blas_match("kl dlogits", R * V, d, d_want);
  blas()->kl(R, V, tau, teacher, student, t, 0.3f, losses, NULL);
  blas_match("kl without gradient", R, losses, want);
  kt_done();
}

Test(blas_against_ref_loss, kl) {
  for (size_t s = 1; s < WIDTHS; s++) {
    compare_kl(ROWS, widths[s], 1.0f, 3.0f, 0);
    compare_kl(ROWS, widths[s], 2.5f, 3.0f, 1);
    compare_kl(ROWS, widths[s], 0.5f, 30.0f, 1);
  }
  compare_kl(0, 17, 1.0f, 1.0f, 1);
}

static void compare_ofa(size_t V, float tau, float epsilon, float spread) {
  size_t R = ROWS;
  const float *teacher = kt_input(R * V, spread), *student = kt_input(R * V, spread);
  const int32_t *t = labels(R, V, 1);
  float *losses = kt_floats(R), *want = kt_floats(R), *d = kt_random(R * V, 1.0f),
        *d_want = kt_copy(R * V, d);
  blas()->ofa(R, V, tau, epsilon, teacher, student, t, 0.3f, losses, d);
  ref()->ofa(R, V, tau, epsilon, teacher, student, t, 0.3f, want, d_want);
  blas_match("ofa", R, losses, want);
  blas_match("ofa dlogits", R * V, d, d_want);
  kt_done();
}

Test(blas_against_ref_loss, ofa) {
  static const float epsilons[] = {1.0f, 1.5f, 0.75f};
  for (size_t s = 1; s < WIDTHS; s++) {
    for (size_t e = 0; e < 3; e++) {
      compare_ofa(widths[s], 1.0f, epsilons[e], 3.0f);
      compare_ofa(widths[s], 0.5f, epsilons[e], 20.0f);
    }
  }
}

static void compare_kl_topk(size_t R, size_t V, size_t k, float tau) {
  const float *teacher = kt_input(R * k, 3.0f), *student = kt_input(R * V, 3.0f);
  const int32_t *t = labels(R, V, 0);
  int32_t *index = kt_ints(R * k);
  for (size_t i = 0; i < R * k; i++)
    index[i] = (int32_t)((i % k * 7 + i / k) % V); /* distinct: 7 prime to V */
  float *losses = kt_floats(R), *want = kt_floats(R), *d = kt_random(R * V, 1.0f),
        *d_want = kt_copy(R * V, d);
  blas()->kl_topk(R, V, k, tau, index, teacher, student, t, 0.3f, losses, d);
  ref()->kl_topk(R, V, k, tau, index, teacher, student, t, 0.3f, want, d_want);
  blas_match("kl_topk", R, losses, want);
  blas_match("kl_topk dlogits", R * V, d, d_want);
  kt_done();
}

Test(blas_against_ref_loss, kl_topk) {
  compare_kl_topk(ROWS, 17, 1, 1.0f);
  compare_kl_topk(ROWS, 17, 17, 2.0f);
  compare_kl_topk(ROWS, 1025, 20, 2.0f);
}

Test(blas_against_ref_loss, mix_softmax) {
  for (size_t s = 0; s < WIDTHS; s++) {
    const size_t n = ROWS * widths[s];
    const float *x = kt_input(n, 20.0f), *before = kt_input(n, 1.0f);
    float *y = kt_copy(n, before), *want = kt_copy(n, before);
    blas()->mix_softmax(ROWS, widths[s], 0.3f, kt_copy(n, x), y);
    ref()->mix_softmax(ROWS, widths[s], 0.3f, kt_copy(n, x), want);
    blas_match("mix_softmax", n, y, want);
    kt_done();
  }
}

/* A row has the same bits alone, at another address, as among others. */
Test(blas_against_ref_loss, row_bits_depend_on_the_row_alone) {
  enum { R = 5, V = 1037 };
  const float *x = kt_input(R * V, 3.0f), *w = kt_input(V, 1.0f);
  const int32_t *t = labels(R, V, 0);
  float *y = kt_floats(R * V), *loss = kt_floats(R), *norm = kt_floats(R * V), *stat = kt_floats(2 * R);
  blas()->cross_entropy(R, V, x, t, 1.0f, loss, NULL, y);
  blas()->layernorm(R, V, 1e-5f, x, w, w, norm, stat, stat + R);
  float *one = kt_floats(V + 3), *one_loss = kt_floats(3);
  for (size_t r = 0; r < R; r++) {
    blas()->cross_entropy(1, V, x + r * V, t + r, 1.0f, one_loss, NULL, one + 3);
    kt_equal("cross_entropy row", V, one + 3, y + r * V);
    kt_equal("cross_entropy loss", 1, one_loss, loss + r);
    blas()->layernorm(1, V, 1e-5f, x + r * V, w, w, one + 1, one_loss, one_loss + 1);
    kt_equal("layernorm row", V, one + 1, norm + r * V);
  }
  kt_done();
}
