#include "market/audit/audit_internal.h"

#include "base/sort.h"
#include <math.h>

/* Relative steps beside a bid at which the outcome may turn. */
static const double near_steps[] = {-EF_AUDIT_TOLERANCE, 0, EF_AUDIT_TOLERANCE};
static const double wide_steps[] = {-1e-6, -EF_AUDIT_TOLERANCE, 0, EF_AUDIT_TOLERANCE, 1e-6};
static const double scalings[] = {0, 0.5, 0.9, 0.99, 1.01, 1.1, 2, 10};
enum {
  NEAR = sizeof near_steps / sizeof *near_steps,
  WIDE = sizeof wide_steps / sizeof *wide_steps,
  SCALINGS = sizeof scalings / sizeof *scalings
};

static size_t others_tried(const ef_audit_run *run) {
  size_t n = run->market->n, most = run->spec->most_points, others = n > 0 ? n - 1 : 0;
  return most > 0 && most < others ? most : others;
}

size_t ef_audit_points_most(const ef_audit_run *run) {
  return NEAR * others_tried(run) + 2 * WIDE + SCALINGS + 1;
}

/* Sorts; drops doubles, the own bid and what is no bid. */
static size_t tidy(double *points, size_t count, double own) {
  size_t kept = 0;
  ef_sort_ascending(points, count);
  for (size_t k = 0; k < count; k++) {
    if (points[k] == own || !(points[k] >= 0) || isinf(points[k])) continue;
    if (kept == 0 || points[k] != points[kept - 1]) points[kept++] = points[k];
  }
  return kept;
}

static size_t around(double *points, double bid, const double *steps, size_t count) {
  for (size_t k = 0; k < count; k++) points[k] = bid * (1 + steps[k]);
  return count;
}

size_t ef_audit_points(ef_audit_run *run, size_t i) {
  const ef_market *market = run->market;
  double *points = run->points, d = (double)market->demand[i], kappa = market->unit_cost;
  size_t count = 0, tried = others_tried(run), up = run->place[i], down = run->place[i] + 1;
  for (size_t k = 0; k < tried; k++) { /* nearest in rank: above and below by turns */
    bool above = up > 0 && (k % 2 == 0 || down == market->n);
    size_t other = run->order[above ? --up : down++];
    count += around(points + count, run->density[other] * d, near_steps, NEAR);
  }
  count += around(points + count, (run->floor + kappa) * d, wide_steps, WIDE);
  count += around(points + count, (1 + market->margin) * kappa * d, wide_steps, WIDE);
  for (size_t k = 0; k < SCALINGS; k++) points[count++] = market->bid[i] * scalings[k];
  double largest = 0;
  for (size_t j = 0; j < market->n; j++) largest = fmax(largest, market->bid[j]);
  points[count++] = 1e3 * largest;
  return tidy(points, count, market->bid[i]);
}

size_t ef_audit_points_near(ef_audit_run *run, size_t i, double price) {
  size_t count = around(run->points, price * (double)run->market->demand[i], wide_steps, WIDE);
  return tidy(run->points, count, run->market->bid[i]);
}
