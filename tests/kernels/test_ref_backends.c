/* Every operation on every backend, and the registry. */
#include "kernel_tests.h"

#include <criterion/criterion.h>
#include <math.h>

#define TEST_REF(op)                                                                                         \
  Test(ref, op) { check_##op(ef_kernels_find("ref")); }
#define TEST_GUARD_REF(op)                                                                                   \
  Test(guard_ref, op) { check_##op(ef_kernels_find("guard:ref")); }
#define TEST_BLAS(op)                                                                                        \
  Test(blas, op) { check_##op(ef_kernels_find("blas")); }
#define TEST_GUARD_BLAS(op)                                                                                  \
  Test(guard_blas, op) { check_##op(ef_kernels_find("guard")); }

KERNEL_OPERATIONS(TEST_REF)
KERNEL_OPERATIONS(TEST_GUARD_REF)
KERNEL_OPERATIONS(TEST_BLAS)
KERNEL_OPERATIONS(TEST_GUARD_BLAS)

Test(registry, finds_each_backend_by_its_name) {
  static const char *const names[] = {"ref", "blas", "guard", "guard:ref"};
  for (size_t i = 0; i < 4; i++) {
    const ef_kernels *k = ef_kernels_find(names[i]);
    cr_assert_not_null(k, "%s", names[i]);
    cr_assert_str_eq(k->name, names[i]);
  }
  cr_assert_null(ef_kernels_find("Ref"));
  cr_assert_null(ef_kernels_find(""));
}

Test(registry, leaves_no_slot_empty) {
  static const char *const names[] = {"ref", "blas", "guard", "guard:ref"};
  for (size_t i = 0; i < 4; i++) {
    const ef_kernels *k = ef_kernels_find(names[i]);
    void (*const *slot)(void) = (void (*const *)(void)) & k->matmul; /* the table is a row of pointers */
    size_t slots = (sizeof *k - offsetof(ef_kernels, matmul)) / sizeof *slot;
    for (size_t s = 0; s < slots; s++) cr_assert(slot[s] != NULL, "%s: slot %zu is empty", names[i], s);
  }
}

Test(registry, clips_as_torch) {
  cr_assert_float_eq(ef_clip_factor(25.0, 1.0), 1.0 / (5.0 + 1e-6), 1e-7);
  cr_assert_eq(ef_clip_factor(0.25, 1.0), 1.0f, "a short gradient is left as it is");
  cr_assert_eq(ef_clip_factor(0.0, 1.0), 1.0f);
  cr_assert_eq(ef_clip_factor(1e12, 0.0), 1.0f, "0: no clipping");
  cr_assert_eq(ef_clip_factor(1e12, -1.0), 1.0f);
  cr_assert_eq(ef_clip_factor(INFINITY, 1.0), 0.0f);
  cr_assert(isnan(ef_clip_factor(NAN, 1.0)), "a NaN is not hidden");
}
