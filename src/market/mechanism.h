/* One table of mechanisms: AERIA's variants, its rivals and the omniscient benchmarks, with one interface.
 *
 * Every truthful rival runs on the kept prefix S of the capacity stage with its floor (aeria.md, section 5).
 * A mechanism is a pure function of market, setting and coin: it can be replayed with a changed bid.
 */
#pragma once

#include "market/auction.h"

/* What mechanisms are told beside the market. */
typedef struct ef_setting {
  ef_aeria aeria;      /* c, Vickrey probability (variant is the table's own) */
  double posted_price; /* net density asked by `posted`; from a prior, never from the bids at hand */
} ef_setting;

/* Truthful in the bid: under every coin; only while estimates agree; or not. */
typedef enum ef_truth { EF_TRUTHFUL, EF_TRUTHFUL_UNDER_CONSENSUS, EF_NOT_TRUTHFUL } ef_truth;
/* One unit price for all winners: always; only under consensus; or not. */
typedef enum ef_price { EF_ONE_PRICE, EF_ONE_PRICE_UNDER_CONSENSUS, EF_MANY_PRICES } ef_price;

typedef struct ef_mechanism {
  const char *name; /* "aeria-t", "aeria-e", "aeria-d", "posted", "first-rejected", "rsop", "scs", "dot",
                       "greedy-critical", "knapsack-vcg", "pay-as-bid", "proportional", "vickrey",
                       "omniscient-f", "omniscient-f2" */
  const char *help; /* one line with its source */
  ef_truth truth;
  ef_price price;
  bool meets_deadlines; /* winners get d_i units (proportional share gives what is left) */
  bool benchmark;       /* knows the values: no mechanism, a yardstick */
  /* Clears the market. EF_MACHINE when memory is short (the knapsack's table), EF_INPUT where it is too large
   * for this mechanism (the message says how large). Local. */
  ef_status (*clear)(ef_auction *a, const ef_market *market, const ef_setting *setting, const ef_coin *coin,
                     ef_award *awards);
} ef_mechanism;

/* The table, ended by a NULL name; by name, or NULL; all names for messages. Local. */
extern const ef_mechanism ef_mechanisms[];
const ef_mechanism *ef_mechanism_find(const char *name);
const char *ef_mechanism_names(void);

/* The half (0 or 1) that a bidder falls into, for RSOP and SCS: a pure function of the coin's v bits and the
 * bidder's index, independent of all bids. Local. */
int ef_coin_half(const ef_coin *coin, size_t bidder);
