/* What the mechanisms of the table share: who takes part, and how an award is written.
 *
 * A rival file holds one rule or one small family; each is the `clear` of a row in mechanism.c. A bidder
 * under the reserve has r <= 0 or r < gamma kappa (aeria.md, section 8) and takes part in none of them.
 */
#pragma once

#include "market/auction/auction_internal.h"
#include "market/mechanism.h"

/* Loads the market; awards: RESERVE, PRUNED outside the kept prefix S, LOSE inside. Returns S. Local. */
ef_kept ef_rival_open(ef_auction *a, const ef_market *market, ef_award *awards);

/* The same for rules over the whole market: RESERVE, PRUNED for d > C, else LOSE. Those that lose stand in
 * a->rank[0 .. a->ranked - 1], by density and index. Local. */
void ef_rival_open_all(ef_auction *a, const ef_market *market, ef_award *awards);

/* Serves the bidder at a net unit price, and at a payment of the mechanism's own (money). Local. */
void ef_rival_sell(const ef_market *market, size_t bidder, double net_price, ef_award *awards);
void ef_rival_charge(const ef_market *market, size_t bidder, double payment, ef_award *awards);

/* Serves the members of S with r >= max(net_price, floor) at that price. Local. */
void ef_rival_sell_kept(const ef_market *market, const ef_kept *s, double net_price, ef_award *awards);

/* The rules, one per row of the table. Errors as ef_mechanism.clear has them. */
typedef ef_status ef_rival_clear(ef_auction *a, const ef_market *market, const ef_setting *setting,
                                 const ef_coin *coin, ef_award *awards);
ef_rival_clear ef_posted_clear;         /* posted.c */
ef_rival_clear ef_first_rejected_clear; /* first_rejected.c */
ef_rival_clear ef_rsop_clear;           /* sampling.c */
ef_rival_clear ef_scs_clear;            /* sampling.c */
ef_rival_clear ef_dot_clear;            /* dot.c */
ef_rival_clear ef_greedy_clear;         /* greedy.c */
ef_rival_clear ef_pay_as_bid_clear;     /* greedy.c */
ef_rival_clear ef_knapsack_clear;       /* knapsack.c */
ef_rival_clear ef_proportional_clear;   /* proportional.c */
ef_rival_clear ef_omniscient_f_clear;   /* omniscient.c */
ef_rival_clear ef_omniscient_f2_clear;  /* omniscient.c */
