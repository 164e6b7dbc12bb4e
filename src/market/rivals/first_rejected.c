#include "market/rivals/mechanism_internal.h"

/* All of S at the density of the first overflow. By Lemma 1 (aeria.md, 3.1) that is everyone's critical
 * density; with equal demands it is VCG. */
ef_status ef_first_rejected_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                  const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  ef_kept s = ef_rival_open(a, market, awards);
  ef_rival_sell_kept(market, &s, s.floor, awards);
  return EF_OK;
}
