/* Helpers of the tests that hold the blas backend against the reference.
 *
 * The tolerance is that of kt_match: 2e-5 of the largest value. Both backends round to float32 (6e-8); blas
 * also accumulates in it, where n terms err by about sqrt(n) 6e-8: 5e-6 of the largest sum for n = 8192. */
#pragma once

#include "kernel_tests.h"

/* Fails unless got (n), of blas, is as near to want, of ref, as float32 accumulation allows. */
static inline void blas_match(const char *what, size_t n, const float *got, const float *want) {
  kt_match(what, n, got, kt_widen(n, want));
}

/* The table under test and the oracle. */
static inline const ef_kernels *blas(void) { return ef_kernels_find("blas"); }
static inline const ef_kernels *ref(void) { return ef_kernels_find("ref"); }
