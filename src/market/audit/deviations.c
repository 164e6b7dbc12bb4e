#include "market/audit/audit_internal.h"

#include "base/memory.h"
#include <math.h>

double ef_audit_gain(const ef_audit_run *run, const ef_audit_coin *coin, size_t i, const ef_award *award,
                     double *rounding) {
  double need = (double)run->market->demand[i], value = run->market->bid[i], utility[2], paid = value;
  const ef_award *both[] = {&coin->awards[i], award};
  for (size_t k = 0; k < 2; k++) {
    utility[k] = 0;
    if (both[k]->fate != EF_FATE_WIN) continue;
    bool served = ef_audit_units(run, i, both[k]) >= need * (1 - EF_AUDIT_TOLERANCE);
    utility[k] = (served ? value : 0) - both[k]->payment;
    paid = fmax(paid, both[k]->payment);
  }
  *rounding = EF_AUDIT_TOLERANCE * paid;
  return utility[1] - utility[0];
}

ef_status ef_audit_replay(ef_audit_run *run, size_t i, size_t first, size_t next, bool loaded) {
  const ef_mechanism *mechanism = run->spec->mechanism;
  for (size_t k = first; k < next; k++) {
    const ef_coin *coin = &run->coins[k].coin;
    if (loaded)
      ef_aeria_clear_loaded(run->auction, &run->copy, &run->rule, coin, run->scratch, NULL);
    else
      EF_TRY(mechanism->clear(run->auction, &run->copy, &run->spec->setting, coin, run->scratch));
    run->replies[k] = run->scratch[i];
    run->audit->clearings++;
  }
  return EF_OK;
}

static void check_gain(ef_audit_run *run, const ef_audit_coin *coin, size_t i, double bid,
                       const ef_award *award) {
  ef_finding *finding = &run->audit->findings[EF_CLAIM_TRUTHFUL];
  double rounding, gain = ef_audit_gain(run, coin, i, award, &rounding);
  char room[EF_AUDIT_NAME];
  finding->checks++;
  run->audit->deviations++;
  if (gain <= rounding) return;
  ef_audit_fault(finding, ef_audit_agrees(run, coin, i), gain,
                 "%s bids %.12g instead of %.12g and gains %.6g at u=%.6g", ef_audit_name(run, i, room), bid,
                 run->market->bid[i], gain, coin->coin.u);
}

/* The price offered to a bidder is the others' doing: it is the same whatever it wins with (T, D). */
static void check_offer(ef_audit_run *run, const ef_audit_coin *coin, size_t i, double bid,
                        const ef_award *award, double *offered) {
  if (award->fate != EF_FATE_WIN) return;
  if (isnan(*offered)) *offered = award->unit_price;
  if (!run->aeria || run->variant == EF_VARIANT_E || coin->vickrey) return;
  ef_finding *finding = &run->audit->findings[EF_CLAIM_ESTIMATE];
  char room[EF_AUDIT_NAME];
  finding->checks++;
  if (!ef_audit_exceeds(award->unit_price, *offered) && !ef_audit_exceeds(*offered, award->unit_price))
    return;
  ef_audit_fault(finding, coin->consensus, fabs(award->unit_price - *offered),
                 "%s's own bid of %.12g moves its price from %.9g to %.9g at u=%.6g",
                 ef_audit_name(run, i, room), bid, *offered, award->unit_price, coin->coin.u);
}

/* The bids in run->points under the coins first..next-1. */
static ef_status replay_points(ef_audit_run *run, size_t i, size_t count, size_t first, size_t next,
                               double *offered) {
  ef_status status = EF_OK;
  for (size_t p = 0; p < count && status == EF_OK; p++) {
    double bid = run->points[p];
    run->bid[i] = bid;
    if (run->fast) ef_auction_deviate(run->auction, run->market, i, bid);
    status = ef_audit_replay(run, i, first, next, run->fast);
    for (size_t k = first; k < next && status == EF_OK; k++) {
      check_gain(run, &run->coins[k], i, bid, &run->replies[k]);
      check_offer(run, &run->coins[k], i, bid, &run->replies[k], &offered[k]);
    }
  }
  run->bid[i] = run->market->bid[i];
  return status;
}

/* Every misreport under every coin, then bids beside what each coin is seen to charge. */
static ef_status replay_bidder(ef_audit_run *run, size_t i, double *offered) {
  for (size_t k = 0; k < run->coin_count; k++) {
    const ef_award *award = &run->coins[k].awards[i];
    offered[k] = award->fate == EF_FATE_WIN ? award->unit_price : NAN;
  }
  EF_TRY(replay_points(run, i, ef_audit_points(run, i), 0, run->coin_count, offered));
  for (size_t k = 0; k < run->coin_count; k++) {
    if (isnan(offered[k])) continue;
    EF_TRY(replay_points(run, i, ef_audit_points_near(run, i, offered[k]), k, k + 1, offered));
  }
  return EF_OK;
}

ef_status ef_audit_deviations(ef_audit_run *run) {
  double *offered; /* unit price that each coin offers the bidder at hand; NaN: not seen */
  EF_TRY(EF_NEW(offered, run->coin_count));
  ef_status status = EF_OK;
  ef_auction_load(run->auction, run->market);
  for (size_t s = 0; s < run->sample_count && status == EF_OK; s++)
    status = replay_bidder(run, run->sample[s], offered);
  run->audit->replayed = run->sample_count;
  ef_free(offered);
  return status;
}
