#include "fusion/proxy_weights.h"

#include <criterion/criterion.h>
#include <math.h>

enum { MOST = 200 };

Test(proxy_weights, without_sharpness_the_bits_are_those_of_one_over_n) {
  static double losses[MOST];
  static float weights[MOST];
  for (size_t n = 1; n <= MOST; n++) {
    for (size_t m = 0; m < n; m++) losses[m] = m % 3 ? (double)m : NAN;
    ef_proxy_weights(n, losses, 0.0, weights);
    for (size_t m = 0; m < n; m++) cr_assert_eq(weights[m], 1.0f / (float)n, "%zu of %zu", m, n);
  }
}

Test(proxy_weights, are_a_softmax_of_the_losses) {
  const double losses[] = {3.5, 3.25, 4.0, 3.3}, sharpness[] = {0.5, 1.0, 5.0, 20.0};
  for (size_t s = 0; s < sizeof sharpness / sizeof *sharpness; s++) {
    float weights[4];
    double sum = 0.0;
    for (size_t m = 0; m < 4; m++) sum += exp(-sharpness[s] * losses[m]);
    ef_proxy_weights(4, losses, sharpness[s], weights);
    for (size_t m = 0; m < 4; m++)
      cr_assert_float_eq((double)weights[m], exp(-sharpness[s] * losses[m]) / sum, 1e-7);
  }
}

/* Two losses that differ by ln 3 over the sharpness weigh as 3 to 1. */
Test(proxy_weights, two_members_in_closed_form) {
  const double losses[] = {2.0, 2.0 + log(3.0) / 4.0};
  float weights[2];
  ef_proxy_weights(2, losses, 4.0, weights);
  cr_assert_float_eq((double)weights[0], 0.75, 1e-7);
  cr_assert_float_eq((double)weights[1], 0.25, 1e-7);
}

Test(proxy_weights, great_sharpness_leaves_the_best) {
  const double losses[] = {3.0, 2.0, 2.5};
  float weights[3];
  ef_proxy_weights(3, losses, 1e6, weights);
  cr_assert(weights[0] == 0.0f && weights[1] == 1.0f && weights[2] == 0.0f);
}

Test(proxy_weights, an_unknown_loss_stands_at_the_mean_of_the_others) {
  const double some[] = {NAN, 2.0, 3.0, (double)INFINITY}, filled[] = {2.5, 2.0, 3.0, 2.5};
  const double none[] = {NAN, NAN, NAN};
  float weights[4], wanted[4];
  ef_proxy_weights(4, some, 2.0, weights);
  ef_proxy_weights(4, filled, 2.0, wanted);
  for (size_t m = 0; m < 4; m++) cr_assert_eq(weights[m], wanted[m]);
  ef_proxy_weights(3, none, 2.0, weights);
  for (size_t m = 0; m < 3; m++) cr_assert_eq(weights[m], 1.0f / 3.0f);
}
