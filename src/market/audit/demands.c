#include "market/audit/audit_internal.h"

#include <math.h>

enum { MOST_BIDS = 24, MOST_NEIGHBOURS = 12 };

/* Bids beside an over-stated demand: the value, a few others, the same density, and just above the densities
 * of others whose rank is near. */
static size_t choose_bids(const ef_audit_run *run, size_t i, int64_t demand, double *bids) {
  static const double scalings[] = {1, 0.5, 0.9, 1.1, 2, 10};
  const ef_market *market = run->market;
  size_t count = 0, place = run->place[i];
  for (size_t k = 0; k < sizeof scalings / sizeof *scalings; k++)
    bids[count++] = market->bid[i] * scalings[k];
  bids[count++] = run->density[i] * (double)demand;
  bids[count++] = (run->floor + market->unit_cost) * (double)demand * (1 + EF_AUDIT_TOLERANCE);
  size_t first = place > MOST_NEIGHBOURS / 2 ? place - MOST_NEIGHBOURS / 2 : 0;
  for (size_t k = first; k < market->n && k <= first + MOST_NEIGHBOURS; k++) {
    if (k != place) bids[count++] = run->density[run->order[k]] * (double)demand * (1 + EF_AUDIT_TOLERANCE);
  }
  return count;
}

static void check_gain(ef_audit_run *run, const ef_audit_coin *coin, size_t i, const ef_award *award) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_DEMAND];
  double rounding, gain = ef_audit_gain(run, coin, i, award, &rounding);
  char room[EF_AUDIT_NAME];
  finding->checks++;
  run->audit->deviations++;
  if (gain <= rounding) return;
  ef_audit_fault(finding, ef_audit_agrees(run, coin, i), gain,
                 "%s asks for %lld units instead of %lld, bids %.9g instead of %.9g and gains %.6g at u=%.6g",
                 ef_audit_name(run, i, room), (long long)run->demand[i], (long long)run->market->demand[i],
                 run->bid[i], run->market->bid[i], gain, coin->coin.u);
}

/* All bids beside one demand of bidder i. */
static ef_status overstate(ef_audit_run *run, size_t i, int64_t demand) {
  double bids[MOST_BIDS];
  size_t count = choose_bids(run, i, demand, bids);
  ef_status status = EF_OK;
  run->demand[i] = demand;
  for (size_t b = 0; b < count && status == EF_OK; b++) {
    run->bid[i] = bids[b];
    if (run->fast) ef_auction_load(run->auction, &run->copy);
    status = ef_audit_replay(run, i, 0, run->coin_count, run->fast);
    for (size_t k = 0; k < run->coin_count && status == EF_OK; k++)
      check_gain(run, &run->coins[k], i, &run->replies[k]);
  }
  run->bid[i] = run->market->bid[i];
  run->demand[i] = run->market->demand[i];
  return status;
}

/* d+1, 2d, 4d, ... up to the largest demand of another, that demand, and the whole capacity. */
static ef_status overstate_all(ef_audit_run *run, size_t i, int64_t largest) {
  int64_t own = run->market->demand[i], capacity = run->market->capacity;
  if (own >= capacity) return EF_OK;
  EF_TRY(overstate(run, i, own + 1));
  int64_t limit = largest > 2 * own ? largest : 2 * own;
  for (int64_t demand = 2 * own; demand <= limit && demand < capacity; demand *= 2) {
    if (demand > own + 1) EF_TRY(overstate(run, i, demand));
  }
  if (largest > 2 * own && largest < capacity) EF_TRY(overstate(run, i, largest));
  return own + 1 < capacity ? overstate(run, i, capacity) : EF_OK;
}

ef_status ef_audit_demands(ef_audit_run *run) {
  const ef_market *market = run->market;
  int64_t largest[2] = {0, 0}; /* the two largest demands that fit */
  for (size_t i = 0; i < market->n; i++) {
    int64_t d = market->demand[i];
    if (d > market->capacity) continue;
    if (d > largest[0]) {
      largest[1] = largest[0];
      largest[0] = d;
    } else if (d > largest[1]) {
      largest[1] = d;
    }
  }
  for (size_t s = 0; s < run->sample_count; s++) {
    size_t i = run->sample[s];
    EF_TRY(overstate_all(run, i, market->demand[i] == largest[0] ? largest[1] : largest[0]));
  }
  return EF_OK;
}
