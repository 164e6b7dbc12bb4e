#include "train/schedule.h"

#include <criterion/criterion.h>
#include <math.h>

static const double pi = 3.14159265358979323846;

Test(schedule, warms_up_linearly_and_falls_as_half_a_cosine) {
  ef_schedule s = {.lr = 2.0, .min_share = 0.1, .warmup = 4, .steps = 25};
  cr_assert_float_eq(ef_schedule_lr(&s, 0), 0.5, 1e-15, "a first step with rate 0 would be lost");
  cr_assert_float_eq(ef_schedule_lr(&s, 1), 1.0, 1e-15);
  cr_assert_float_eq(ef_schedule_lr(&s, 3), 2.0, 1e-15, "the warm-up ends at the peak");
  cr_assert_float_eq(ef_schedule_lr(&s, 4), 2.0, 1e-15, "and the cosine starts there");
  cr_assert_float_eq(ef_schedule_lr(&s, 14), 0.5 * (2.0 + 0.2), 1e-12, "half way");
  cr_assert_float_eq(ef_schedule_lr(&s, 9), 0.2 + 0.9 * (1.0 + cos(0.25 * pi)), 1e-12);
  cr_assert_float_eq(ef_schedule_lr(&s, 24), 0.2, 1e-12, "the last step has the least rate");
}

Test(schedule, never_rises_after_the_warm_up) {
  ef_schedule s = {.lr = 1.0, .min_share = 0.0, .warmup = 3, .steps = 50};
  for (size_t step = 4; step < 50; step++) {
    cr_assert_leq(ef_schedule_lr(&s, step), ef_schedule_lr(&s, step - 1));
  }
  cr_assert_float_eq(ef_schedule_lr(&s, 49), 0.0, 1e-15);
}

Test(schedule, short_trainings) {
  ef_schedule all_warm = {.lr = 3.0, .min_share = 0.1, .warmup = 20, .steps = 6};
  for (size_t step = 0; step < 6; step++) {
    cr_assert_float_eq(ef_schedule_lr(&all_warm, step), 3.0 * (double)(step + 1) / 6.0, 1e-15,
                       "fewer steps than warm-up: they rise to the peak all the same");
  }
  ef_schedule one = {.lr = 3.0, .min_share = 0.1, .warmup = 0, .steps = 1};
  cr_assert_float_eq(ef_schedule_lr(&one, 0), 3.0, 1e-15);
  one.warmup = 20;
  cr_assert_float_eq(ef_schedule_lr(&one, 0), 3.0, 1e-15);
  ef_schedule one_left = {.lr = 3.0, .min_share = 0.1, .warmup = 5, .steps = 6};
  cr_assert_float_eq(ef_schedule_lr(&one_left, 5), 3.0, 1e-15);
}
