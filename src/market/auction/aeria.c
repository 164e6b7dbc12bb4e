#include "market/auction/auction_internal.h"
#include <math.h>
#include <string.h>

size_t ef_estimate_slot(const ef_auction *a, double r) {
  size_t low = 0, high = a->estimates;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (a->estimate[mid] <= r)
      high = mid;
    else
      low = mid + 1;
  }
  return low;
}

static void insert_estimate(ef_auction *a, size_t slot, double r) {
  const size_t behind = a->estimates++ - slot;
  memmove(&a->estimate[slot + 1], &a->estimate[slot], behind * sizeof *a->estimate);
  memmove(&a->count[slot + 1], &a->count[slot], behind * sizeof *a->count);
  a->estimate[slot] = r;
  a->count[slot] = 0;
}

/* The values that estimates are taken of, then the estimates themselves, by place. */
static void estimate_each(ef_auction *a, const ef_aeria *rule, double u, double f2) {
  if (rule->variant == EF_VARIANT_T) ef_benchmark_f2_without(a, a->value);
  if (rule->variant == EF_VARIANT_D) ef_others_of_each(a, a->value);
  double value = f2, r = ef_estimate(f2, rule->c, u);
  for (size_t p = 0; p < a->kept; p++) {
    if (rule->variant != EF_VARIANT_E && a->value[p] != value) {
      value = a->value[p];
      r = ef_estimate(value, rule->c, u);
    }
    a->value[p] = r;
  }
}

/* Distinct estimates, how many got each, and whom cost sharing serves under each: the smaller R, the more. */
static void tabulate(ef_auction *a) {
  a->estimates = 0;
  for (size_t p = 0; p < a->kept; p++) {
    const size_t slot = ef_estimate_slot(a, a->value[p]);
    if (slot == a->estimates || a->estimate[slot] != a->value[p]) insert_estimate(a, slot, a->value[p]);
    a->count[slot]++;
  }
  size_t k = a->kept;
  for (size_t e = a->estimates; e-- > 0;) {
    const size_t served = ef_cost_share_of(a, a->estimate[e], k);
    a->served[e] = served;
    if (a->estimate[e] > 0) k = served;
  }
}

/* Variants T and E: whom cost sharing serves under its own estimate. */
static void share_prices(ef_auction *a) {
  for (size_t p = 0; p < a->kept; p++) {
    const size_t k = a->served[ef_estimate_slot(a, a->value[p])];
    a->price[p] = p < k ? a->value[p] / (double)a->total[k - 1] : INFINITY;
  }
}

static void award_kept(const ef_auction *a, ef_award *awards) {
  for (size_t i = 0; i < a->n; i++) awards[i] = (ef_award){.fate = (ef_fate)a->gate[i]};
  for (size_t p = 0; p < a->kept; p++) {
    ef_award *award = &awards[a->index[p]];
    award->fate = EF_FATE_LOSE;
    if (a->density[p] < a->price[p]) continue;
    award->fate = EF_FATE_WIN;
    award->unit_price = a->unit_cost + fmax(a->price[p], a->floor);
    award->payment = award->unit_price * (double)a->demand[p];
  }
}

void ef_aeria_clear_loaded(ef_auction *a, const ef_market *market, const ef_aeria *rule, const ef_coin *coin,
                           ef_award *awards, ef_clearing *clearing) {
  const ef_kept kept = ef_auction_kept(a);
  const double f2 = ef_benchmark_f2(&kept);
  const bool vickrey = coin->v < rule->vickrey_prob;
  estimate_each(a, rule, coin->u, f2);
  tabulate(a);
  if (vickrey) {
    ef_market now = *market;
    now.bid = a->bid;
    ef_vickrey_clear(&now, awards);
  } else {
    if (rule->variant == EF_VARIANT_D)
      ef_others_prices(a);
    else
      share_prices(a);
    award_kept(a, awards);
  }
  if (!clearing) return;
  *clearing = (ef_clearing){.kept = a->kept, .floor = a->floor, .f = ef_benchmark_f(&kept), .f2 = f2};
  clearing->vickrey = vickrey;
  clearing->consensus = rule->variant != EF_VARIANT_D && a->estimates <= 1;
  clearing->estimate_count = a->estimates;
  clearing->estimates = a->estimate;
  clearing->counts = a->count;
}

void ef_aeria_clear(ef_auction *a, const ef_market *market, const ef_aeria *rule, const ef_coin *coin,
                    ef_award *awards, ef_clearing *clearing) {
  ef_auction_load(a, market);
  ef_aeria_clear_loaded(a, market, rule, coin, awards, clearing);
}
