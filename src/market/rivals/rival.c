#include "market/rivals/mechanism_internal.h"
#include <math.h>

void ef_rival_open_all(ef_auction *a, const ef_market *market, ef_award *awards) {
  ef_auction_load(a, market);
  for (size_t i = 0; i < market->n; i++) awards[i] = (ef_award){.fate = (ef_fate)a->gate[i]};
  for (size_t k = 0; k < a->ranked; k++) awards[a->rank[k].item].fate = EF_FATE_LOSE;
}

ef_kept ef_rival_open(ef_auction *a, const ef_market *market, ef_award *awards) {
  ef_auction_load(a, market);
  ef_kept s = ef_auction_kept(a);
  for (size_t i = 0; i < market->n; i++) awards[i] = (ef_award){.fate = (ef_fate)a->gate[i]};
  for (size_t k = 0; k < s.kept; k++) awards[s.index[k]].fate = EF_FATE_LOSE;
  return s;
}

void ef_rival_sell(const ef_market *market, size_t bidder, double net_price, ef_award *awards) {
  double price = market->unit_cost + net_price;
  awards[bidder] =
      (ef_award){.fate = EF_FATE_WIN, .unit_price = price, .payment = price * (double)market->demand[bidder]};
}

void ef_rival_charge(const ef_market *market, size_t bidder, double payment, ef_award *awards) {
  awards[bidder] = (ef_award){
      .fate = EF_FATE_WIN, .unit_price = payment / (double)market->demand[bidder], .payment = payment};
}

void ef_rival_sell_kept(const ef_market *market, const ef_kept *s, double net_price, ef_award *awards) {
  double price = fmax(net_price, s->floor);
  for (size_t k = 0; k < s->kept && s->density[k] >= price; k++)
    ef_rival_sell(market, s->index[k], price, awards);
}
