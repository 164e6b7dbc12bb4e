/* Medians of a few numbers, by hand. */
#include "base/sort.h"

#include <criterion/criterion.h>

Test(sort, medians) {
  double one[] = {4.0}, two[] = {3.0, 1.0}, three[] = {9.0, -1.0, 2.0},
         six[] = {8.0, 1.0, 5.0, 2.0, 2.5, 7.0};
  cr_expect_eq(ef_median(one, 1), 4.0);
  cr_expect_eq(ef_median(two, 2), 2.0);
  cr_expect_eq(ef_median(three, 3), 2.0);
  cr_expect_eq(ef_median(six, 6), 3.75);
}

Test(sort, medians_leave_the_numbers_sorted) {
  double x[] = {3.0, 2.0, 3.0, -4.0}, sorted[] = {-4.0, 2.0, 3.0, 3.0};
  cr_expect_eq(ef_median(x, 4), 2.5);
  for (int i = 0; i < 4; i++) cr_expect_eq(x[i], sorted[i]);
}
