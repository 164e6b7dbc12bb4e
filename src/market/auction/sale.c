#include "market/auction.h"

ef_sale ef_sale_sum(const ef_market *market, const ef_award *awards) {
  ef_sale sale = {0};
  for (size_t i = 0; i < market->n; i++) {
    if (awards[i].fate != EF_FATE_WIN) continue;
    sale.winners++;
    sale.used += market->demand[i];
    sale.revenue += awards[i].payment;
  }
  sale.profit = sale.revenue - market->unit_cost * (double)sale.used;
  return sale;
}
