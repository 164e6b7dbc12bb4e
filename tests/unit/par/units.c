#include "par/units.h"
#include <criterion/criterion.h>

Test(units, blocks_cover_all_units_in_order) {
  for (int size = 1; size <= 9; size++) {
    for (size_t units = 0; units <= 40; units++) {
      cr_assert_eq(ef_block_first(units, size, 0), 0);
      cr_assert_eq(ef_block_first(units, size, size), units);
      for (int r = 0; r < size; r++) {
        size_t first = ef_block_first(units, size, r), next = ef_block_first(units, size, r + 1);
        cr_assert(next - first == units / (size_t)size || next - first == units / (size_t)size + 1);
        for (size_t u = first; u < next; u++) cr_assert_eq(ef_block_owner(units, size, u), r);
      }
    }
  }
}

Test(units, balance_gives_the_dearest_first_to_the_least_loaded) {
  const double cost[] = {3, 7, 7, 1, 2, 4};
  int owner[6];
  double load[2];
  ef_balance(6, cost, 2, owner, load);
  /* 7 (1) -> 0, 7 (2) -> 1, 4 (5) -> 0, 3 (0) -> 1, 2 (4) -> 1, 1 (3) -> 0 */
  const int expected[] = {1, 0, 1, 0, 1, 0};
  cr_assert_arr_eq(owner, expected, sizeof expected);
  cr_assert_eq(load[0], 12.0);
  cr_assert_eq(load[1], 12.0);
}

Test(units, balance_with_more_ranks_than_units) {
  const double cost[] = {1, 1};
  int owner[2];
  double load[5];
  ef_balance(2, cost, 5, owner, load);
  cr_assert_eq(owner[0], 0);
  cr_assert_eq(owner[1], 1);
  cr_assert_eq(load[4], 0.0);
}
