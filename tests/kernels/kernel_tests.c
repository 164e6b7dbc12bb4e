#include "kernel_tests.h"

#include "kernels/guard/guard.h"
#include "support/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MAX_BUFFERS = 4096, MAX_DIFFERENCES = 400 };

static struct {
  void *data;
  size_t bytes;
  uint64_t hash; /* of a frozen buffer */
  int frozen;
} buffers[MAX_BUFFERS];
static size_t used;
static unsigned stream;

static uint64_t hash_bytes(const void *data, size_t bytes) {
  const unsigned char *x = data;
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ x[i]) * 1099511628211u;
  return hash;
}

void *kt_bytes(size_t bytes) {
  cr_assert_lt(used, (size_t)MAX_BUFFERS, "too many buffers in one test");
  buffers[used].data = ef_guard_alloc(bytes);
  buffers[used].bytes = bytes;
  buffers[used].frozen = 0;
  return buffers[used++].data;
}

float *kt_floats(size_t n) { return kt_bytes(n * sizeof(float)); }

int32_t *kt_ints(size_t n) { return kt_bytes(n * sizeof(int32_t)); }

float *kt_random(size_t n, float scale) {
  float *x = kt_floats(n);
  test_fill(x, n, scale, stream++);
  return x;
}

const float *kt_input(size_t n, float scale) {
  float *x = kt_random(n, scale);
  kt_freeze(x);
  return x;
}

const int32_t *kt_indices(size_t n, size_t limit) {
  float *uniform = kt_random(n, 1.0f);
  int32_t *x = kt_ints(n);
  for (size_t i = 0; i < n; i++) {
    size_t at = (size_t)(0.5 * ((double)uniform[i] + 1.0) * (double)limit);
    x[i] = (int32_t)(at < limit ? at : limit - 1);
  }
  kt_freeze(x);
  return x;
}

double *kt_doubles(size_t n) {
  double *x = kt_bytes(n * sizeof(double));
  memset(x, 0, n * sizeof(double));
  return x;
}

double *kt_widen(size_t n, const float *x) {
  double *y = kt_doubles(n);
  for (size_t i = 0; i < n; i++) y[i] = x[i];
  return y;
}

float *kt_copy(size_t n, const float *x) {
  float *y = kt_floats(n);
  memcpy(y, x, n * sizeof(float));
  return y;
}

void kt_freeze(const void *buffer) {
  for (size_t i = 0; i < used; i++) {
    if (buffers[i].data != buffer) continue;
    buffers[i].hash = hash_bytes(buffer, buffers[i].bytes);
    buffers[i].frozen = 1;
    return;
  }
  cr_assert_fail("kt_freeze: not a buffer of this test");
}

void kt_done(void) {
  for (size_t i = 0; i < used; i++) {
    cr_assert_eq(ef_guard_check(buffers[i].data), 0, "buffer %zu of %zu bytes: write at byte %td", i,
                 buffers[i].bytes, ef_guard_check(buffers[i].data));
    cr_assert(!buffers[i].frozen || hash_bytes(buffers[i].data, buffers[i].bytes) == buffers[i].hash,
              "input %zu of %zu bytes was changed", i, buffers[i].bytes);
    ef_guard_free(buffers[i].data);
  }
  used = 0;
}

/* Compares every step-th element. */
static void match(const char *what, size_t n, size_t step, const float *got, const double *want) {
  double largest = 0.0, error = 0.0, norm = 0.0;
  for (size_t i = 0; i < n; i += step) largest = fmax(largest, fabs(want[i]));
  for (size_t i = 0; i < n; i += step) {
    double d = got[i] - want[i];
    cr_assert(fabs(d) <= 2e-5 * largest + 1e-9, "%s[%zu] of %zu = %.9g, not %.9g", what, i, n, (double)got[i],
              want[i]);
    error += d * d;
    norm += want[i] * want[i];
  }
  cr_assert(sqrt(error) <= 1e-5 * sqrt(norm) + 1e-8, "%s: relative error %.3g", what, sqrt(error / norm));
}

void kt_match(const char *what, size_t n, const float *got, const double *want) {
  match(what, n, 1, got, want);
}

void kt_equal(const char *what, size_t n, const float *got, const float *want) {
  for (size_t i = 0; i < n; i++) {
    cr_assert(memcmp(&got[i], &want[i], sizeof *got) == 0, "%s[%zu] of %zu = %.9g, not exactly %.9g", what, i,
              n, (double)got[i], (double)want[i]);
  }
}

void kt_forward(const char *what, const kt_problem *p, const float *y) {
  double *want = kt_doubles(p->n);
  p->forward(p->context, want);
  kt_match(what, p->n, y, want);
}

static double objective(const kt_problem *p, double *y) {
  double sum = 0.0;
  memset(y, 0, p->n * sizeof *y);
  p->forward(p->context, y);
  for (size_t i = 0; i < p->n; i++) sum += y[i] * p->dy[i];
  return sum;
}

void kt_gradient(const char *what, const kt_problem *p, size_t n, double *x, const float *start,
                 const float *got) {
  const double h = 1e-5;
  size_t step = n / MAX_DIFFERENCES + 1;
  double *want = kt_doubles(n), *y = kt_doubles(p->n);
  for (size_t i = 0; i < n; i += step) {
    double at = x[i];
    x[i] = at + h;
    double above = objective(p, y);
    x[i] = at - h;
    double below = objective(p, y);
    x[i] = at;
    want[i] = (start ? start[i] : 0.0) + (above - below) / (2.0 * h);
  }
  match(what, n, step, got, want);
}
