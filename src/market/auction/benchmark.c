#include "market/auction/auction_internal.h"

double ef_benchmark_f(const ef_kept *s) {
  double best = 0;
  for (size_t k = 0; k < s->kept; k++) {
    const double profit = s->density[k] * (double)s->total[k];
    if (profit > best) best = profit;
  }
  return best;
}

double ef_benchmark_f2(const ef_kept *s) {
  double best = 0;
  int64_t largest = 0;
  for (size_t k = 0; k < s->kept; k++) {
    if (s->demand[k] > largest) largest = s->demand[k];
    const double profit = s->density[k] * ef_counted(s->total[k], largest);
    if (profit > best) best = profit;
  }
  return best;
}

void ef_columns_make(ef_auction *a) {
  for (size_t p = 0; p < a->kept; p++) a->spare[p] = (ef_rank){(uint64_t)a->demand[p], p};
  ef_rank *const sorted = a->spare;
  ef_rank_sort(sorted, a->scratch, a->kept);
  a->columns = 0;
  for (size_t s = 0; s < a->kept; s++) {
    if (s == 0 || sorted[s].key != sorted[s - 1].key) a->abscissa[a->columns++] = (int64_t)sorted[s].key;
    a->column[sorted[s].item] = a->columns - 1;
  }
}

static void raise(double *best, double value) {
  if (value > *best) *best = value;
}

/* Terms of places before each bidder, and of those behind it while it is the largest: then the second largest
 * counts. Each place has one largest, so this is linear. `end` is one past the last place that is looked at.
 */
static void sweep_forward(ef_auction *a, size_t end, double *out) {
  double before = 0;
  int64_t first = 0, second = 0;
  size_t holder = 0;
  for (size_t k = 0; k < end; k++) {
    const int64_t d = a->demand[k];
    if (d > first) {
      second = first;
      first = d;
      holder = k;
    } else if (d > second) {
      second = d;
    }
    a->largest[k] = first;
    if (k < a->kept) out[k] = before;
    const int64_t rest = a->total[k] - first;
    if (holder < k && holder < a->kept && rest <= a->capacity)
      raise(&out[holder], a->density[k] * ef_counted(rest, second));
    raise(&before, a->density[k] * ef_counted(a->total[k], first));
  }
}

/* Terms of the kept places behind each bidder. Where the bidder is itself the largest, the envelope's term is
 * too low, and the forward sweep has the right one. */
static void sweep_back(ef_auction *a, double *out) {
  ef_envelope_clear(a);
  for (size_t p = a->kept; p-- > 0;) {
    raise(&out[p], ef_envelope_at(a, a->column[p]));
    ef_envelope_add(a, a->density[p], a->total[p], a->largest[p]);
  }
}

void ef_benchmark_f2_without(ef_auction *a, double *out) {
  ef_columns_make(a);
  sweep_forward(a, a->kept, out);
  sweep_back(a, out);
}

void ef_others_of_each(ef_auction *a, double *out) {
  ef_columns_make(a);
  sweep_forward(a, a->reach, out);
  sweep_back(a, out);
  ef_envelope_clear(a);
  size_t k = a->kept;
  for (size_t c = 0; c < a->columns; c++) {
    for (; k < a->reach && a->total[k] - a->abscissa[c] <= a->capacity; k++)
      ef_envelope_add(a, a->density[k], a->total[k], a->largest[k]);
    a->limit[c] = k;
    a->beyond[c] = ef_envelope_at(a, c);
  }
  for (size_t p = 0; p < a->kept; p++) raise(&out[p], a->beyond[a->column[p]]);
}
