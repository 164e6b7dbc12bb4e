/* Expectation over the coin without quadrature. Over u, a value V gives the estimate R = V c^-U with U
 * uniform, so ln R is uniform on (ln V - ln c, ln V], and a bidder's expected price is the integral of its
 * price p(R) dR / R over (V/c, V], by ln c. p(R) = max(phi, R / D_k) has steps: k changes where R crosses a
 * suffix maximum of r_k D_k. Each step has a closed form, and one table of steps serves all bidders of
 * variants T and E.
 */
#include "market/auction/auction_internal.h"
#include <math.h>

typedef struct sums {
  double profit, winners, used; /* times ln c */
  size_t pieces;
} sums;

/* Integral of max(floor, R / total) dR / R over low..high. */
static double piece(double low, double high, double floor, int64_t total) {
  if (!(high > low)) return 0;
  const double units = (double)total, bend = fmin(fmax(floor * units, low), high);
  return (bend > low ? floor * log(bend / low) : 0) + (high - bend) / units;
}

static void won(sums *s, double price, double low, double high, int64_t demand) {
  const double log_width = log(high / low);
  s->profit += (double)demand * price;
  s->winners += log_width;
  s->used += (double)demand * log_width;
}

/* The price integrated from `base` (> 0) to r, r at most the top of the last step. */
static double integral(const ef_auction *a, size_t steps, double base, double r) {
  size_t low = 0, high = steps - 1;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (a->step[mid].top >= r)
      high = mid;
    else
      low = mid + 1;
  }
  const double below = low > 0 ? a->step[low - 1].top : 0, before = low > 0 ? a->step[low - 1].sum : 0;
  return before + piece(fmax(below, base), r, a->floor, a->step[low].total);
}

/* One more step: R up to `top` is shared by `total` units. */
static size_t add_step(ef_auction *a, size_t steps, double base, double top, int64_t total) {
  const double below = steps > 0 ? a->step[steps - 1].top : 0,
               before = steps > 0 ? a->step[steps - 1].sum : 0;
  a->step[steps] = (ef_step){top, before + piece(fmax(below, base), top, a->floor, total), total};
  return steps + 1;
}

/* Variants T and E: place p wins while R is at most the greatest r_k D_k of the places k >= p. */
static sums expect_shared(ef_auction *a, double c) {
  sums s = {0};
  double base = INFINITY;
  for (size_t p = 0; p < a->kept; p++)
    if (a->value[p] > 0) base = fmin(base, a->value[p] / c);
  for (size_t p = a->kept; p-- > 0;) {
    const double value = a->value[p], most = a->density[p] * (double)a->total[p];
    if (s.pieces == 0 || most > a->step[s.pieces - 1].top)
      s.pieces = add_step(a, s.pieces, base, most, a->total[p]);
    const double high = fmin(value, a->step[s.pieces - 1].top), low = value / c;
    if (!(high > low)) continue;
    const double price = integral(a, s.pieces, base, high) - integral(a, s.pieces, base, low);
    won(&s, price, low, high, a->demand[p]);
  }
  return s;
}

/* Variant D: the steps of the others' market, while the price that they give is at most the bidder's density.
 */
static void expect_offered(const ef_auction *a, size_t p, double c, sums *s) {
  const double value = a->value[p];
  double top = value / c;
  for (size_t k = a->limit[a->column[p]]; k-- > 0 && top < value;) {
    const int64_t total = a->total[k] - (k > p ? a->demand[p] : 0);
    const double most = a->density[k] * (double)total;
    if (k == p || !(most > top)) continue;
    const double high = fmin(fmin(most, value), a->density[p] * (double)total);
    if (high > top) won(s, piece(top, high, a->floor, total), top, high, a->demand[p]);
    s->pieces++;
    top = most;
  }
}

static sums expect_core(ef_auction *a, const ef_aeria *rule, double f2) {
  sums s = {0};
  if (rule->variant == EF_VARIANT_D) {
    ef_others_of_each(a, a->value);
    for (size_t p = 0; p < a->kept; p++) expect_offered(a, p, rule->c, &s);
    return s;
  }
  if (rule->variant == EF_VARIANT_T)
    ef_benchmark_f2_without(a, a->value);
  else
    for (size_t p = 0; p < a->kept; p++) a->value[p] = f2;
  return expect_shared(a, rule->c);
}

/* Least and greatest of the values that estimates are taken of. */
static void value_range(const ef_auction *a, double *least, double *greatest) {
  *least = *greatest = a->kept > 0 ? a->value[0] : 0;
  for (size_t p = 1; p < a->kept; p++) {
    *least = fmin(*least, a->value[p]);
    *greatest = fmax(*greatest, a->value[p]);
  }
}

/* Probability that no grid point lies in (least, greatest]. */
static double consensus_of(double least, double greatest, double log_c) {
  if (greatest == least) return 1;
  return least > 0 ? fmax(0, 1 - log(greatest / least) / log_c) : 0;
}

void ef_aeria_expect(ef_auction *a, const ef_market *market, const ef_aeria *rule, ef_award *scratch,
                     ef_expectation *expectation) {
  ef_auction_load(a, market);
  const ef_kept kept = ef_auction_kept(a);
  const double f2 = ef_benchmark_f2(&kept), log_c = log(rule->c), branch = rule->vickrey_prob;
  const double core = (1 - branch) / log_c;
  const sums s = expect_core(a, rule, f2);
  double least, greatest;
  value_range(a, &least, &greatest);
  ef_sale sale = {0};
  if (branch > 0) {
    ef_vickrey_clear(market, scratch);
    sale = ef_sale_sum(market, scratch);
  }
  ef_expectation e = {.pieces = s.pieces};
  e.profit = core * s.profit + branch * sale.profit;
  e.winners = core * s.winners + branch * (double)sale.winners;
  e.used = core * s.used + branch * (double)sale.used;
  e.revenue = e.profit + market->unit_cost * e.used;
  if (rule->variant != EF_VARIANT_D) {
    e.consensus = consensus_of(least, greatest, log_c);
    e.bound = core * fmax(0, least - f2 / rule->c);
  }
  *expectation = e;
}
