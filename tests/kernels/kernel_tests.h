/* Tests of the operations of kernels.h that take the backend as an argument, and their helpers.
 *
 * check_OP(k) compares an operation, forward and backward, with a formula written out in double precision in
 * the test and with central differences of that formula. KERNEL_OPERATIONS lists them: a file that tests a
 * backend turns each into one Criterion test. All buffers come from the guard allocator: kt_done finds writes
 * outside. */
#pragma once

#include "kernels/kernels.h"

#include <stddef.h>
#include <stdint.h>

/* clang-format off */
#define KERNEL_OPERATIONS(X)                                                                  \
  X(matmul) X(bias) X(elementwise) X(embedding) X(layernorm) X(rmsnorm) X(rope)               \
  X(attention) X(attention_cache) X(attention_long)                                           \
  X(gelu) X(swiglu) X(sigmoid_gate)                                                           \
  X(router) X(router_backward) X(aux_loss) X(moe_sort) X(moe_combine) X(moe_gather)           \
  X(cross_entropy) X(kl) X(kl_topk) X(ofa) X(mix_softmax) X(adamw)
/* clang-format on */

#define KERNEL_DECLARE(op) void check_##op(const ef_kernels *k);
KERNEL_OPERATIONS(KERNEL_DECLARE)
#undef KERNEL_DECLARE

/* ---- buffers: owned by the test, checked and freed all at once by kt_done ---- */

float *kt_floats(size_t n);                        /* NaN */
float *kt_random(size_t n, float scale);           /* uniform in [-scale, scale] */
const float *kt_input(size_t n, float scale);      /* the same; kt_done checks that it did not change */
int32_t *kt_ints(size_t n);                        /* -1 */
const int32_t *kt_indices(size_t n, size_t limit); /* uniform in [0, limit), checked as kt_input is */
void *kt_bytes(size_t bytes);                      /* 0xff */
double *kt_doubles(size_t n);                      /* zero */
double *kt_widen(size_t n, const float *x);        /* a copy in double */
float *kt_copy(size_t n, const float *x);
void kt_freeze(const void *buffer); /* from here on it may not change */
void kt_done(void);                 /* fails the test if a canary or a frozen buffer changed */

/* ---- comparisons: fail the test with the name `what` ---- */

/* |got - want| <= 2e-5 of the largest |want| in each element, and 1e-5 in the Frobenius norm. */
void kt_match(const char *what, size_t n, const float *got, const double *want);

/* Equal bits. */
void kt_equal(const char *what, size_t n, const float *got, const float *want);

/* The objective sum(dy * y), where forward writes y (n) from the arrays that context points to. */
typedef struct kt_problem {
  void (*forward)(const void *context, double *y);
  const void *context;
  size_t n;
  const float *dy; /* (n) */
} kt_problem;

/* Compares y (n) with forward. */
void kt_forward(const char *what, const kt_problem *p, const float *y);

/* Compares `got` (n) with start (NULL: zero) plus the central differences of the objective with respect to x
 * (n), an array that forward reads; of long arrays every few elements. */
void kt_gradient(const char *what, const kt_problem *p, size_t n, double *x, const float *start,
                 const float *got);
