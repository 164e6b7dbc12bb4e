#include "base/sort.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void ef_sort_ascending(double *x, size_t n) { qsort(x, n, sizeof *x, ascending); }

double ef_median(double *x, size_t n) {
  ef_sort_ascending(x, n);
  return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}
