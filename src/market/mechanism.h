/* One table of mechanisms: AERIA's variants, its rivals and the omniscient benchmarks, with one interface.
 *
 * A mechanism is a pure function of market, setting and coin: it can be replayed with a changed bid. Rules
 * (aeria.md, section 5), in net density r = b/d - kappa; a winner pays the unit price kappa + its net price.
 *
 * On the kept prefix S of the capacity stage with its floor phi: who has r >= max(p, phi) wins at that price.
 * - posted: p is the setting's.
 * - first-rejected: p = phi.
 * - rsop: p = best single price (argmax r_k D_k) of the other half of S; an empty half offers nothing.
 * - scs: p = R / D_k of cost sharing in the own half, R the best profit of the other; R = 0 serves nobody.
 * - dot: p = best single price of the others in S; one bidder alone is offered nothing.
 * - omniscient-f, omniscient-f2: the prefix that attains F or F2, whole, at its last member's density.
 *
 * Of equally good single prices the highest counts. Whether a bidder gets no offer never depends on its own
 * bid, so that truthfulness stays.
 *
 * On the whole market, of those with r > 0, r >= gamma kappa and d <= C:
 * - greedy-critical: by density, skipping; net price = least density that still wins, at least gamma kappa.
 * - pay-as-bid: the same winners; payment b.
 * - knapsack-vcg: max sum (b - kappa d), of equal sets the one first in index order; payment = kappa d + what
 *   the others lose, at least (1 + gamma) kappa d. Units are divided by the gcd of the demands; the table has
 *   (bidders + 2) x (units + 1) cells, at most 2^25 (256 MiB).
 * - proportional: x = C b / sum b units for b, at the one unit price sum b / C. A bidder wins only if x >= d:
 *   it holds x units, uses d of them and pays b = unit_price x. A smaller share would miss the deadline: it
 *   is neither taken nor paid. So what is sold fits.
 * - vickrey: one winner, the highest b - kappa d, at the second highest (ef_vickrey_clear).
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
  bool meets_deadlines; /* everyone who pays gets d_i units; false: shares may be too small to serve */
  bool benchmark;       /* knows the values: no mechanism, a yardstick */
  /* Clears the market; awards (n). Allocates nothing but the knapsack's tables. EF_MACHINE when memory is
   * short (the knapsack's table), EF_INPUT where it is too large for this mechanism (the message says how
   * large). Local. */
  ef_status (*clear)(ef_auction *a, const ef_market *market, const ef_setting *setting, const ef_coin *coin,
                     ef_award *awards);
} ef_mechanism;

/* The table, ended by a NULL name; by name, or NULL; all names for messages. Local. */
extern const ef_mechanism ef_mechanisms[];
const ef_mechanism *ef_mechanism_find(const char *name);
const char *ef_mechanism_names(void);
/* The row of AERIA in one of its variants. Local. */
const ef_mechanism *ef_mechanism_aeria(ef_variant variant);

/* The half (0 or 1) that a bidder falls into, for RSOP and SCS: a bit of Philox keyed by the bits of v,
 * counted by the bidder's index. Fair, and independent of all bids. Local. */
int ef_coin_half(const ef_coin *coin, size_t bidder);
