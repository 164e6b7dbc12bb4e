/* The efficient allocation with VCG payments: max sum (b_i - kappa d_i) over sets that fit (Vickrey 1961;
 * Clarke 1971; Groves 1973), by a dynamic programme over units.
 *
 * Demands and capacity are divided by the greatest common divisor of the demands. tail[i][c] is the best
 * value of items i.. in c units; the walk from item 0 takes an item whenever an optimum holds it, so of equal
 * sets the one that comes first in index order is chosen. The optimum without a winner i joins head[c], the
 * best value of items before i, with tail[i + 1]: O(items x units) for all payments together, one table and
 * one row.
 */
#include "base/memory.h"
#include "market/rivals/mechanism_internal.h"
#include <math.h>

enum { MOST_CELLS = 1 << 25 }; /* 256 MiB */

typedef struct item {
  size_t bidder;
  size_t weight; /* demand / gcd */
  double value;  /* b - kappa d */
} item;

typedef struct knapsack {
  size_t count, width; /* items; units + 1 */
  item *items;         /* (count) */
  double *tail;        /* (count + 1, width) */
  double *head;        /* (width) */
} knapsack;

static int64_t gcd(int64_t a, int64_t b) {
  while (b != 0) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* Items in index order, and the width of the table: no more units than they all ask for. */
static void gather(const ef_market *market, const ef_award *awards, knapsack *k) {
  int64_t divisor = 0, units = 0;
  for (size_t i = 0; i < market->n; i++) {
    if (awards[i].fate != EF_FATE_LOSE) continue;
    int64_t d = market->demand[i];
    divisor = gcd(divisor, d);
    units = d > market->capacity - units ? market->capacity : units + d;
    k->items[k->count++] =
        (item){.bidder = i, .weight = (size_t)d, .value = market->bid[i] - market->unit_cost * (double)d};
  }
  if (divisor == 0) divisor = 1;
  for (size_t j = 0; j < k->count; j++) k->items[j].weight /= (size_t)divisor;
  k->width = (size_t)(units / divisor) + 1;
}

static ef_status make_tables(knapsack *k) {
  EF_TRY(
      EF_CHECK(k->width <= MOST_CELLS / (k->count + 2), EF_INPUT,
               "knapsack-vcg: %zu bidders and %zu units need %.3g cells, more than %d: use larger units or "
               "leave this mechanism out",
               k->count, k->width - 1, (double)(k->count + 2) * (double)k->width, (int)MOST_CELLS));
  EF_TRY(EF_NEW(k->tail, (k->count + 1) * k->width));
  EF_TRY(EF_NEW(k->head, k->width));
  return EF_OK;
}

static void fill_tail(knapsack *k) {
  for (size_t j = k->count; j-- > 0;) {
    const double *next = k->tail + (j + 1) * k->width;
    double *row = k->tail + j * k->width, value = k->items[j].value;
    size_t w = k->items[j].weight;
    for (size_t c = 0; c < k->width && c < w; c++) row[c] = next[c];
    for (size_t c = w; c < k->width; c++) row[c] = fmax(next[c], value + next[c - w]);
  }
}

/* The head row takes up one more item: downwards, so that every read is of the row before. */
static void grow_head(knapsack *k, const item *one) {
  for (size_t c = k->width; c-- > one->weight;)
    k->head[c] = fmax(k->head[c], one->value + k->head[c - one->weight]);
}

/* The optimum without item j; head holds the items before it. */
static double best_without(const knapsack *k, size_t j) {
  const double *tail = k->tail + (j + 1) * k->width;
  double best = 0.0;
  for (size_t c = 0; c < k->width; c++) best = fmax(best, k->head[c] + tail[k->width - 1 - c]);
  return best;
}

/* What the others lose by item j, at least its reserve, never more than it bids (rounding). */
static double payment_of(const knapsack *k, const ef_market *market, size_t j) {
  const item *won = &k->items[j];
  double units = (double)market->demand[won->bidder], others = k->tail[k->width - 1] - won->value;
  double net = fmax(best_without(k, j) - others, market->margin * market->unit_cost * units);
  return fmin(net + market->unit_cost * units, market->bid[won->bidder]);
}

static void sell(knapsack *k, const ef_market *market, ef_award *awards) {
  size_t left = k->width - 1;
  for (size_t j = 0; j < k->count; j++) {
    const item *one = &k->items[j];
    const double *row = k->tail + j * k->width, *next = row + k->width;
    if (one->value > 0.0 && one->weight <= left && one->value + next[left - one->weight] >= row[left]) {
      ef_rival_charge(market, one->bidder, payment_of(k, market, j), awards);
      left -= one->weight;
    }
    grow_head(k, one);
  }
}

ef_status ef_knapsack_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                            const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  knapsack k = {0};
  ef_status status = EF_OK;
  ef_rival_open_all(a, market, awards);
  EF_GO(EF_NEW(k.items, market->n));
  gather(market, awards, &k);
  EF_GO(make_tables(&k));
  fill_tail(&k);
  sell(&k, market, awards);
done:
  ef_free(k.head);
  ef_free(k.tail);
  ef_free(k.items);
  return status;
}
