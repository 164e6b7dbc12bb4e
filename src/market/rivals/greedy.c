/* Greedy by density over the whole market: whoever still fits is served, whoever does not is skipped
 * (Lehmann, O'Callaghan, Shoham, "Truth revelation in approximately efficient combinatorial auctions", J. ACM
 * 49, 2002).
 */
#include "market/rivals/mechanism_internal.h"

/* Net density of the bidder at place k of the order. */
static double density_at(const ef_auction *a, const ef_market *market, size_t k) {
  size_t i = a->rank[k].item;
  return market->bid[i] / (double)market->demand[i] - market->unit_cost;
}

/* The least net density at which the bidder at place k still wins, `used` units being taken before it: that
 * of the first of the others behind it whose being served leaves no room; none: the reserve. The others
 * before k do not depend on it, so their run without it starts here. For a member of S nobody else in S can
 * be that one: with all of S served there is still room. */
static double critical_density(const ef_auction *a, const ef_market *market, size_t k, int64_t used) {
  const int64_t own = market->demand[a->rank[k].item];
  size_t j = k + 1;
  if (k < a->kept) {
    j = a->kept;
    used = a->total[a->kept - 1] - own;
  }
  for (; j < a->ranked; j++) {
    const int64_t d = market->demand[a->rank[j].item];
    if (d > market->capacity - used) continue;
    used += d;
    if (used > market->capacity - own)
      return density_at(a, market, j); /* it takes part: not below the reserve */
  }
  return a->reserve;
}

static ef_status greedy(ef_auction *a, const ef_market *market, bool pay_bid, ef_award *awards) {
  ef_rival_open_all(a, market, awards);
  int64_t used = 0;
  for (size_t k = 0; k < a->ranked; k++) {
    size_t i = a->rank[k].item;
    if (market->demand[i] > market->capacity - used) continue;
    if (pay_bid)
      ef_rival_charge(market, i, market->bid[i], awards);
    else
      ef_rival_sell(market, i, critical_density(a, market, k, used), awards);
    used += market->demand[i];
  }
  return EF_OK;
}

ef_status ef_greedy_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                          const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  return greedy(a, market, false, awards);
}

ef_status ef_pay_as_bid_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                              const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  return greedy(a, market, true, awards);
}
