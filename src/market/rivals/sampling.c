/* Rules that learn from a random half of S and sell to the other: RSOP (Goldberg, Hartline, Wright,
 * "Competitive auctions and multiple digital goods", SODA 2001) and SCS (Fiat, Goldberg, Hartline, Karlin,
 * "Competitive generalized auctions", STOC 2002), with demands in the place of bidders.
 *
 * Halves depend on the coin and on indices alone. While i stays in S, S does not depend on b_i (Lemma 1), so
 * neither does what the other half offers; an empty half offers nothing, and whether it is empty does not
 * depend on b_i either. So both are truthful under every coin.
 */
#include "market/rivals/mechanism_internal.h"
#include <math.h>

/* The best single price of one half's own members, argmax r_k D_k, as (r_k, D_k); of equal ones the highest
 * price; zeros for an empty half. */
static ef_line best_of_half(const ef_kept *s, const ef_coin *coin, int half) {
  ef_line best = {0};
  int64_t total = 0;
  for (size_t k = 0; k < s->kept; k++) {
    if (ef_coin_half(coin, s->index[k]) != half) continue;
    total += s->demand[k];
    const ef_line own = {s->density[k], total};
    if (ef_line_above(own, best, 0)) best = own;
  }
  return best;
}

/* Unit price at which a half shares the cost R: R / D_k of the largest k with r_k >= R / D_k; infinite if
 * none or if R = 0. */
static double share_in_half(const ef_kept *s, const ef_coin *coin, int half, double cost) {
  double price = INFINITY;
  int64_t total = 0;
  for (size_t k = 0; k < s->kept && cost > 0.0; k++) {
    if (ef_coin_half(coin, s->index[k]) != half) continue;
    total += s->demand[k];
    double share = cost / (double)total;
    if (s->density[k] >= share) price = share;
  }
  return price;
}

/* Members of a half with r >= max(price, floor) are served at it. */
static void sell_half(const ef_market *market, const ef_kept *s, const ef_coin *coin, int half, double price,
                      ef_award *awards) {
  double net = fmax(price, s->floor);
  for (size_t k = 0; k < s->kept && s->density[k] >= net; k++)
    if (ef_coin_half(coin, s->index[k]) == half) ef_rival_sell(market, s->index[k], net, awards);
}

ef_status ef_rsop_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                        const ef_coin *coin, ef_award *awards) {
  (void)setting;
  ef_kept s = ef_rival_open(a, market, awards);
  for (int half = 0; half < 2; half++) {
    const ef_line best = best_of_half(&s, coin, 1 - half);
    if (best.root > 0) sell_half(market, &s, coin, half, best.slope, awards);
  }
  return EF_OK;
}

/* Whoever is served by the cost sharing has r_i >= r_k >= R / D_k, and whoever has r_i >= R / D_k is among
 * the first k: so the price alone decides. */
ef_status ef_scs_clear(ef_auction *a, const ef_market *market, const ef_setting *setting, const ef_coin *coin,
                       ef_award *awards) {
  (void)setting;
  ef_kept s = ef_rival_open(a, market, awards);
  for (int half = 0; half < 2; half++) {
    const ef_line best = best_of_half(&s, coin, 1 - half);
    const double cost = best.slope * (double)best.root;
    sell_half(market, &s, coin, half, share_in_half(&s, coin, half, cost), awards);
  }
  return EF_OK;
}
