#include "market/audit/audit_internal.h"

#include "base/memory.h"
#include <math.h>
#include <stdlib.h>

/* What a winner has: so many units for so much. */
typedef struct bundle {
  double units, payment; /* after `cheapest`: the least payment for at least so many units */
  size_t winner;
} bundle;

static int by_units(const void *a, const void *b) {
  const bundle *x = a, *y = b;
  if (x->units != y->units) return x->units > y->units ? -1 : 1;
  return (x->winner > y->winner) - (x->winner < y->winner);
}

static size_t bundles_of(const ef_audit_run *run, const ef_audit_coin *coin, bundle *bundles) {
  size_t count = 0;
  for (size_t i = 0; i < run->market->n; i++) {
    const ef_award *award = &coin->awards[i];
    if (award->fate != EF_FATE_WIN) continue;
    bundles[count++] = (bundle){ef_audit_units(run, i, award), award->payment, i};
  }
  qsort(bundles, count, sizeof *bundles, by_units);
  for (size_t k = 1; k < count; k++) {
    if (bundles[k - 1].payment > bundles[k].payment) continue;
    bundles[k].payment = bundles[k - 1].payment;
    bundles[k].winner = bundles[k - 1].winner;
  }
  return count;
}

/* The cheapest bundle of at least `units`: the last one that large; NULL if there is none. */
static const bundle *cheapest(const bundle *bundles, size_t count, double units) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (bundles[middle].units >= units)
      low = middle + 1;
    else
      high = middle;
  }
  return low > 0 ? &bundles[low - 1] : NULL;
}

/* (b): i, which needs d units, would rather have another's units at what that one pays. */
static void check_outcome(ef_audit_run *run, const ef_audit_coin *coin, const bundle *bundles, size_t count) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_ENVY];
  for (size_t i = 0; i < run->market->n; i++) {
    double bid = run->market->bid[i], need = (double)run->market->demand[i];
    const ef_award *award = &coin->awards[i];
    bool served = award->fate == EF_FATE_WIN && ef_audit_units(run, i, award) >= need;
    double own = award->fate == EF_FATE_WIN ? (served ? bid : 0) - award->payment : 0;
    const bundle *best = cheapest(bundles, count, need);
    finding->checks++;
    if (!best || bid - best->payment - own <= EF_AUDIT_TOLERANCE * fmax(bid, best->payment)) continue;
    char room[EF_AUDIT_NAME], other[EF_AUDIT_NAME];
    ef_audit_fault(finding, coin->consensus, bid - best->payment - own,
                   "%s (value %.9g, gains %.9g) would rather pay the %.9g of %s at u=%.6g",
                   ef_audit_name(run, i, room), bid, own, best->payment,
                   ef_audit_name(run, best->winner, other), coin->coin.u);
  }
}

/* (a): one price that all winners pay and no loser that fits outbids. */
static void check_price(ef_audit_run *run, const ef_audit_coin *coin, double price, size_t cheap) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_ENVY_PRICE];
  for (size_t i = 0; i < run->market->n; i++) {
    bool wins = coin->awards[i].fate == EF_FATE_WIN;
    double own = wins ? coin->awards[i].unit_price : run->density[i];
    if (!wins && run->market->demand[i] > run->market->capacity) continue;
    finding->checks++;
    if (!ef_audit_exceeds(own, price)) continue;
    char room[EF_AUDIT_NAME], other[EF_AUDIT_NAME];
    ef_audit_fault(finding, coin->consensus, own - price, "%s %s %.9g a unit, %s pays %.9g at u=%.6g",
                   ef_audit_name(run, i, room), wins ? "pays" : "is out at", own,
                   ef_audit_name(run, cheap, other), price, coin->coin.u);
  }
}

ef_status ef_audit_envy(ef_audit_run *run, const ef_audit_coin *coin) {
  bundle *bundles;
  EF_TRY(EF_NEW(bundles, run->market->n));
  size_t count = bundles_of(run, coin, bundles);
  if (count > 0) check_outcome(run, coin, bundles, count);
  size_t cheap = run->market->n;
  for (size_t i = 0; i < run->market->n; i++) {
    if (coin->awards[i].fate != EF_FATE_WIN) continue;
    if (cheap == run->market->n || coin->awards[i].unit_price < coin->awards[cheap].unit_price) cheap = i;
  }
  /* the Vickrey branch has one winner and compares total bids: notion (a) is not claimed there */
  if (count > 0 && !coin->vickrey) check_price(run, coin, coin->awards[cheap].unit_price, cheap);
  ef_free(bundles);
  return EF_OK;
}
