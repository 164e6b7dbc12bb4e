#include "market/rivals/mechanism_internal.h"
#include <math.h>

/* Sum of the bids that take part, in index order. */
static double bids_entered(const ef_market *market, const ef_award *awards) {
  double sum = 0.0;
  for (size_t i = 0; i < market->n; i++)
    if (awards[i].fate == EF_FATE_LOSE) sum += market->bid[i];
  return sum;
}

/* x_i = C b_i / sum b at the one price sum b / C. A share below d_i misses the deadline and is worth nothing:
 * it is neither taken nor paid. The served demands fit, for x_i >= d_i and the shares sum to C. */
ef_status ef_proportional_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                const ef_coin *coin, ef_award *awards) {
  (void)setting;
  (void)coin;
  ef_rival_open_all(a, market, awards);
  double sum = bids_entered(market, awards), units = (double)market->capacity;
  int64_t left = market->capacity; /* rounding of the shares must not oversell */
  for (size_t i = 0; i < market->n; i++) {
    if (awards[i].fate != EF_FATE_LOSE) continue;
    if (units * market->bid[i] / sum < (double)market->demand[i] || market->demand[i] > left) continue;
    left -= market->demand[i];
    awards[i] = (ef_award){.fate = EF_FATE_WIN, .unit_price = sum / units, .payment = market->bid[i]};
  }
  return EF_OK;
}
