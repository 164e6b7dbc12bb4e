#include "base/memory.h"
#include <criterion/criterion.h>

/* What came and went can be taken out of the peak, what stayed cannot.
 */
Test(memory, a_peak_can_be_returned_to) {
  size_t before = ef_memory_bytes();
  char *kept = ef_alloc(1000, 1);
  size_t block = ef_memory_bytes() - before; /* what a block counts, its own bytes included */
  cr_assert_geq(block, 1000u);
  ef_memory_reset_peak();
  size_t peak = ef_memory_peak();
  cr_assert_eq(peak, before + block);
  char *passing = ef_alloc(1000, 1);
  ef_free(passing);
  cr_assert_eq(ef_memory_peak(), before + 2 * block);
  ef_memory_return_to_peak(peak);
  cr_assert_eq(ef_memory_peak(), before + block);
  char *more = ef_alloc(1000, 1);
  ef_memory_return_to_peak(peak);
  cr_assert_eq(ef_memory_peak(), before + 2 * block, "what is still held counts");
  ef_free(more);
  ef_free(kept);
}
