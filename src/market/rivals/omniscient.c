#include "market/rivals/mechanism_internal.h"

/* Serves places 0..k of S at r_k. Bidders of equal density behind k are rationed: ties went by index. */
static void sell_prefix(const ef_market *market, const ef_kept *s, size_t k, ef_award *awards) {
  for (size_t j = 0; j <= k; j++) ef_rival_sell(market, s->index[j], s->density[k], awards);
}

/* The place k of the largest r_k D_k, or r_k min(D_k, 2 (D_k - m_k)) where one bidder counts for half at
 * most; of equal ones the first. `kept`: nothing counts. */
static size_t best_place(const ef_kept *s, bool half_at_most) {
  size_t place = s->kept;
  ef_line best = {0};
  int64_t largest = 0;
  for (size_t k = 0; k < s->kept; k++) {
    if (s->demand[k] > largest) largest = s->demand[k];
    const int64_t total = s->total[k], counted = half_at_most ? (int64_t)ef_counted(total, largest) : total;
    const ef_line own = {s->density[k], counted};
    if (counted == 0 || !ef_line_above(own, best, 0)) continue;
    best = own;
    place = k;
  }
  return place;
}

static ef_status omniscient(ef_auction *a, const ef_market *market, bool half_at_most, ef_award *awards) {
  ef_kept s = ef_rival_open(a, market, awards);
  size_t k = best_place(&s, half_at_most);
  if (k < s.kept) sell_prefix(market, &s, k, awards);
  return EF_OK;
}

/* F of aeria.md, 3.2; of equal profits the one that sells fewer units. */
ef_status ef_omniscient_f_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  return omniscient(a, market, false, awards);
}

/* F2 of aeria.md, 3.2: the prefix of the largest r_k min(D_k, 2 (D_k - m_k)) is sold whole, so the profit is
 * at least F2; nobody is served where F2 = 0. */
ef_status ef_omniscient_f2_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                 const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  return omniscient(a, market, true, awards);
}
