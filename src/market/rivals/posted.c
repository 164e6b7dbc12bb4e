#include "market/rivals/mechanism_internal.h"

ef_status ef_posted_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                          const ef_coin *coin, ef_award *awards) {
  (void)coin;
  ef_kept s = ef_rival_open(a, market, awards);
  ef_rival_sell_kept(market, &s, setting->posted_price, awards);
  return EF_OK;
}
