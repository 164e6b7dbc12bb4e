#include "kernels/guard/check.h"
#include "kernels/kernels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t poison_bits = 0x7fedbaddu;

void ef_guard_fail(const char *op, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  fprintf(stderr, "guard: %s: %s\n", op, text);
  abort();
}

static int is_poison(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7fffffffu) == poison_bits; /* a negation may have flipped the sign */
}

void ef_guard_poison(size_t rows, size_t cols, size_t ld, float *x) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < cols; c++) memcpy(&x[r * ld + c], &poison_bits, sizeof poison_bits);
  }
}

void ef_guard_written(const char *op, const char *name, size_t rows, size_t cols, size_t ld, const float *x) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t c = 0; c < cols; c++) {
      if (is_poison(x[r * ld + c])) {
        ef_guard_fail(op, "%s[%zu] was left unwritten or computed from what was unwritten", name, r * ld + c);
      }
    }
  }
}

void ef_guard_poison_heads(const char *op, const char *name, const ef_guard_heads *a, float *x) {
  if (a->B * a->T * a->H == 0) return;
  if ((a->H > 1 && a->head < a->h) || (a->T > 1 && a->row < a->h) || (a->B > 1 && a->batch < a->h)) {
    ef_guard_fail(op, "the strides of %s are below the head width %zu", name, a->h);
  }
  for (size_t b = 0; b < a->B; b++) {
    for (size_t n = 0; n < a->H; n++) ef_guard_poison(a->T, a->h, a->row, x + b * a->batch + n * a->head);
  }
}

void ef_guard_written_heads(const char *op, const char *name, const ef_guard_heads *a, const float *x) {
  for (size_t b = 0; b < a->B; b++) {
    for (size_t n = 0; n < a->H; n++) {
      ef_guard_written(op, name, a->T, a->h, a->row, x + b * a->batch + n * a->head);
    }
  }
}

void ef_guard_poison_int(size_t n, int32_t *x) {
  for (size_t i = 0; i < n; i++) x[i] = INT32_MIN;
}

void ef_guard_range(const char *op, const char *name, size_t n, const int32_t *x, size_t limit) {
  for (size_t i = 0; i < n; i++) {
    if (x[i] < 0 || (size_t)x[i] >= limit) {
      ef_guard_fail(op, "%s[%zu] = %d is outside [0, %zu)", name, i, (int)x[i], limit);
    }
  }
}

void ef_guard_distinct(const char *op, const char *name, size_t rows, size_t cols, const int32_t *x) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = r * cols; i < (r + 1) * cols; i++) {
      for (size_t j = r * cols; j < i; j++) {
        if (x[i] == x[j])
          ef_guard_fail(op, "%s[%zu] = %s[%zu] = %d twice in a row", name, j, name, i, (int)x[i]);
      }
    }
  }
}

void ef_guard_targets(const char *op, size_t R, size_t V, const int32_t *targets) {
  for (size_t r = 0; r < R; r++) {
    if (targets[r] == EF_IGNORE || (targets[r] >= 0 && (size_t)targets[r] < V)) continue;
    ef_guard_fail(op, "targets[%zu] = %d is neither in [0, %zu) nor EF_IGNORE", r, (int)targets[r], V);
  }
}

void ef_guard_apart(const char *op, size_t nx, const float *x, size_t ny, const float *y) {
  uintptr_t x0 = (uintptr_t)x, x1 = x0 + nx * sizeof *x, y0 = (uintptr_t)y, y1 = y0 + ny * sizeof *y;
  if (x0 < y1 && y0 < x1) ef_guard_fail(op, "an input and an output overlap");
}
