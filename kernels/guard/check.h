/* What the wrappers of the guard backend check with. `op` is the name of the operation and `name` that of the
 * argument; both appear in the message. Every function that finds a violation prints one line on stderr and
 * aborts. Poison is a quiet NaN with a payload of its own: arithmetic keeps the payload, so a result computed
 * from poison is told from a NaN that came in with the data. Local, no state, no allocation. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Aborts with "guard: OP: MESSAGE". */
_Noreturn void ef_guard_fail(const char *op, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define EF_GUARD_NEEDS(op, condition)                                                                        \
  do {                                                                                                       \
    if (!(condition)) ef_guard_fail(op, "needs %s", #condition);                                             \
  } while (0)

/* Poisons x (rows, cols; ld), and looks for poison left in it. */
void ef_guard_poison(size_t rows, size_t cols, size_t ld, float *x);
void ef_guard_written(const char *op, const char *name, size_t rows, size_t cols, size_t ld, const float *x);

/* An array of heads: element (b, t, n, c) lies at b*batch + t*row + n*head + c. */
typedef struct ef_guard_heads {
  size_t B, T, H, h, batch, row, head;
} ef_guard_heads;

/* The same for an array of heads; the first also checks that heads, rows and sequences do not run into each
 * other within a row of h. */
void ef_guard_poison_heads(const char *op, const char *name, const ef_guard_heads *a, float *x);
void ef_guard_written_heads(const char *op, const char *name, const ef_guard_heads *a, const float *x);

/* Poison of integers is INT32_MIN, which lies in no range. */
void ef_guard_poison_int(size_t n, int32_t *x);

/* All of x (n) lie in [0, limit). */
void ef_guard_range(const char *op, const char *name, size_t n, const int32_t *x, size_t limit);

/* Every row of x (rows, cols) holds distinct values. */
void ef_guard_distinct(const char *op, const char *name, size_t rows, size_t cols, const int32_t *x);

/* Targets (R) lie in [0, V) or are EF_IGNORE. */
void ef_guard_targets(const char *op, size_t R, size_t V, const int32_t *targets);

/* x (nx) and y (ny) do not overlap. */
void ef_guard_apart(const char *op, size_t nx, const float *x, size_t ny, const float *y);
