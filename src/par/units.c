#include "par/units.h"

/* The first units % size ranks get one unit more than the others. */
size_t ef_block_first(size_t units, int size, int rank) {
  size_t n = (size_t)size, r = (size_t)rank, extra = units % n;
  return r * (units / n) + (r < extra ? r : extra);
}

int ef_block_owner(size_t units, int size, size_t unit) {
  size_t n = (size_t)size, small = units / n, extra = units % n, boundary = extra * (small + 1);
  return (int)(unit < boundary ? unit / (small + 1) : extra + (unit - boundary) / small);
}

/* The dearest unit without an owner. */
static size_t dearest(size_t units, const double *cost, const int *owner) {
  size_t best = units;
  for (size_t u = 0; u < units; u++) {
    if (owner[u] < 0 && (best == units || cost[u] > cost[best])) best = u;
  }
  return best;
}

void ef_balance(size_t units, const double *cost, int size, int *owner, double *work) {
  for (size_t u = 0; u < units; u++) owner[u] = -1;
  for (int r = 0; r < size; r++) work[r] = 0.0;
  for (size_t placed = 0; placed < units; placed++) {
    size_t u = dearest(units, cost, owner);
    int least = 0;
    for (int r = 1; r < size; r++) {
      if (work[r] < work[least]) least = r;
    }
    owner[u] = least;
    work[least] += cost[u];
  }
}
