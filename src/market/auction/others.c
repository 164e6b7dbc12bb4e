/* Variant D: the price that the others' market offers each bidder, for its estimate R: R / D_k with the
 * largest k that cost sharing serves among the others. Behind the bidder D_k lacks its demand d, so place k
 * serves if d <= D_k - R/r_k: for one R a tree of maxima finds the last such place.
 */
#include "market/auction/auction_internal.h"
#include <math.h>

enum { FEW = 8 }; /* bidders with one estimate for which a tree does not pay */

/* Units that place k shares R among when the bidder at p is away. */
static double units_without(const ef_auction *a, size_t k, size_t p) {
  return (double)(a->total[k] - (k > p ? a->demand[p] : 0));
}

static bool serves(const ef_auction *a, double r, size_t k, size_t p) {
  return k != p && a->density[k] >= r / units_without(a, k, p);
}

static double offer_by_scan(const ef_auction *a, double r, size_t p) {
  for (size_t k = a->limit[a->column[p]]; k-- > 0;)
    if (serves(a, r, k, p)) return r / units_without(a, k, p);
  return INFINITY;
}

/* Leaves: D_k - R/r_k, a little too high so that rounding hides no place; what is found is tested exactly. */
static size_t grow_tree(ef_auction *a, double r) {
  size_t leaves = 1;
  while (leaves <= a->reach) leaves *= 2;
  for (size_t k = 0; k < leaves; k++) {
    const double total = k < a->reach ? (double)a->total[k] : 0;
    a->peak[leaves + k] = k < a->reach ? total * (1 + 4e-15) - r / a->density[k] : -INFINITY;
  }
  for (size_t node = leaves; node-- > 1;) a->peak[node] = fmax(a->peak[2 * node], a->peak[2 * node + 1]);
  return leaves;
}

/* Last place before `end` whose leaf is at least x; SIZE_MAX: none. */
static size_t last_peak(const ef_auction *a, size_t leaves, size_t end, double x) {
  size_t node = leaves + end;
  while (node > 1 && (node % 2 == 0 || a->peak[node - 1] < x)) node /= 2;
  if (node <= 1) return SIZE_MAX;
  node--;
  while (node < leaves) node = 2 * node + (a->peak[2 * node + 1] >= x);
  return node - leaves;
}

static double offer_by_tree(const ef_auction *a, size_t leaves, double r, size_t p) {
  size_t k = a->limit[a->column[p]];
  while ((k = last_peak(a, leaves, k, (double)a->demand[p])) != SIZE_MAX && k > p)
    if (serves(a, r, k, p)) return r / units_without(a, k, p);
  for (k = p; (k = last_peak(a, leaves, k, 0)) != SIZE_MAX;)
    if (serves(a, r, k, p)) return r / units_without(a, k, p);
  return INFINITY;
}

/* The offers to `count` places that have the estimate r. */
static void offer_all(ef_auction *a, double r, const ef_rank *places, size_t count) {
  const bool many = count >= FEW && r > 0;
  const size_t leaves = many ? grow_tree(a, r) : 0;
  for (size_t s = 0; s < count; s++) {
    const size_t p = places[s].item;
    a->price[p] = many ? offer_by_tree(a, leaves, r, p) : r > 0 ? offer_by_scan(a, r, p) : INFINITY;
  }
}

void ef_others_prices(ef_auction *a) {
  for (size_t p = 0; p < a->kept; p++) a->spare[p] = (ef_rank){ef_estimate_slot(a, a->value[p]), p};
  ef_rank_sort(a->spare, a->scratch, a->kept);
  size_t first = 0;
  for (size_t e = 0; e < a->estimates; e++) {
    offer_all(a, a->estimate[e], &a->spare[first], a->count[e]);
    first += a->count[e];
  }
}
