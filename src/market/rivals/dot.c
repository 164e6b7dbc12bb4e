/* Deterministic optimal threshold (Goldberg, Hartline, Wright, "Competitive auctions and multiple digital
 * goods", SODA 2001) with demands in the place of bidders: i in S is offered the best single price of the
 * others in S.
 *
 * Without i, at place p, prefix k < p is worth r_k D_k, and prefix k > p is worth r_k (D_k - d_i): a line in
 * d_i. So the best term before p is a running best, and the best one behind it is a point of the upper
 * envelope of the lines behind: O(n log n).
 */
#include "market/rivals/mechanism_internal.h"
#include <math.h>

/* The best line before each place, at 0; slope 0 at the first. */
static void best_before(const ef_kept *s, ef_line *before) {
  ef_line best = {0};
  for (size_t p = 0; p < s->kept; p++) {
    before[p] = best;
    const ef_line own = {s->density[p], s->total[p]};
    if (ef_line_above(own, best, 0)) best = own;
  }
}

/* The price at which what is best without place p is sold; INFINITY where nobody else is there. */
static double price_of_others(const ef_auction *a, size_t p, ef_line before) {
  const int64_t units = a->demand[p];
  const ef_line behind = ef_envelope_line(a, a->column[p]);
  before.root += units; /* worth at `units` what it was at 0 */
  const ef_line best = ef_line_above(behind, before, units) ? behind : before;
  return best.slope > 0.0 ? best.slope : INFINITY;
}

ef_status ef_dot_clear(ef_auction *a, const ef_market *market, const ef_setting *setting, const ef_coin *coin,
                       ef_award *awards) {
  (void)setting;
  (void)coin;
  ef_kept s = ef_rival_open(a, market, awards);
  best_before(&s, a->before);
  ef_columns_make(a);
  ef_envelope_clear(a);
  for (size_t p = s.kept; p-- > 0;) {
    const double net = price_of_others(a, p, a->before[p]); /* of a member of S: not below the floor */
    ef_envelope_add(a, s.density[p], s.total[p], 0);
    if (s.density[p] >= net) ef_rival_sell(market, s.index[p], net, awards);
  }
  return EF_OK;
}
