#include "market/auction/auction_internal.h"
#include <math.h>

enum { CORRECTIONS = 64 }; /* the logarithm is off by one at most unless c is within rounding of 1 */

double ef_estimate(double value, double c, double u) {
  if (!(value > 0) || !isfinite(value)) return 0;
  double j = floor(log(value) / log(c) - u), r = pow(c, j + u);
  for (int step = 0; r > value && step < CORRECTIONS; step++) r = pow(c, --j + u);
  for (int step = 0; step < CORRECTIONS; step++) {
    const double next = pow(c, j + 1 + u);
    if (!(next <= value)) break;
    r = next;
    j++;
  }
  return r;
}

size_t ef_cost_share_of(const ef_auction *a, double r, size_t k) {
  const ef_kept s = {k, a->index, a->density, a->demand, a->total, a->floor};
  return ef_cost_share(&s, r);
}

size_t ef_cost_share(const ef_kept *s, double r) {
  if (!(r > 0)) return 0;
  size_t k = s->kept;
  while (k > 0 && s->density[k - 1] < r / (double)s->total[k - 1]) k--;
  return k;
}
