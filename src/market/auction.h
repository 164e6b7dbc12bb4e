/* The auction of one market on plain arrays: AERIA's mechanism and the common form of all mechanisms.
 *
 * n bidders with bids b_i (money) and integer demands d_i > 0 (units); capacity C; unit cost kappa; reserve
 * margin gamma. Net density r_i = b_i/d_i - kappa, one double division and one subtraction. Order: density
 * b_i/d_i descending, then index ascending. All benchmarks are in net density, so "revenue" there is profit.
 * (aeria.md, section 3; building blocks: Goldberg and Hartline, "Competitiveness via Consensus", SODA 2003;
 * Moulin and Shenker, "Strategyproof sharing of submodular costs", Economic Theory 18, 2001.)
 */
#pragma once

#include "market/instance.h"

typedef struct ef_market {
  size_t n;
  const double *bid;     /* (n) */
  const int64_t *demand; /* (n), > 0 */
  int64_t capacity;      /* C */
  double unit_cost;      /* kappa */
  double margin;         /* gamma */
} ef_market;

typedef struct ef_coin {
  double u; /* grid of the estimate */
  double v; /* Vickrey branch; also the split of random-sampling mechanisms (ef_coin_half) */
} ef_coin;

/* What becomes of a bidder. RESERVE: r <= 0 or r < gamma kappa; PRUNED: cut by the capacity stage. */
typedef enum ef_fate { EF_FATE_RESERVE, EF_FATE_PRUNED, EF_FATE_LOSE, EF_FATE_WIN } ef_fate;

/* One bidder's result. Losers have price and payment 0. */
typedef struct ef_award {
  ef_fate fate;
  double unit_price; /* money per unit, kappa included */
  double payment;    /* unit_price * d, or the mechanism's own payment; then unit_price = payment / d */
} ef_award;

/* Sums over one market, made by ef_sale_sum. */
typedef struct ef_sale {
  size_t winners;
  int64_t used;           /* units */
  double revenue, profit; /* payments; payments - kappa * used */
} ef_sale;

/* ---- the capacity stage and the benchmarks (3.1, 3.2) ---------------------------------------------------
 */

/* An auction's working memory for up to n bidders; everything below is in it and nothing else is allocated.
 */
typedef struct ef_auction ef_auction; /* opaque; auction_internal.h */
ef_status ef_auction_create(size_t n, ef_auction **auction);
void ef_auction_free(ef_auction *auction);

/* Sorts and cuts: leaves the kept prefix S in the auction. At most the n of ef_auction_create. O(n). Local.
 */
void ef_auction_load(ef_auction *a, const ef_market *market);

/* The same market with one bid changed (index i, the bid b): the kept prefix after it, with the bits of a
 * fresh load, in O(kept) from the order of the last ef_auction_load, which stays: each call deviates from
 * that load, not from the call before. `market` is the one that was loaded; its bid[i] is not read. For
 * audits. Local. */
void ef_auction_deviate(ef_auction *a, const ef_market *market, size_t i, double b);

/* The kept prefix in its order. Arrays are (kept), borrowed, valid until the next load. */
typedef struct ef_kept {
  size_t kept;
  const size_t *index;   /* bidder at each place */
  const double *density; /* r, descending */
  const int64_t *demand; /* d */
  const int64_t *total;  /* D_k: sum of d over places 0..k */
  double floor;          /* phi: net density of the first overflow, at least gamma kappa; 0 if none */
} ef_kept;
ef_kept ef_auction_kept(const ef_auction *a);

/* F = max r_k D_k, and F2 = max r_k T2(D_k, m_k), T2(D,m) = min(D, 2(D-m)), over the kept prefix. O(kept). */
double ef_benchmark_f(const ef_kept *s);
double ef_benchmark_f2(const ef_kept *s);
/* F2 of the kept prefix without the bidder at each place (no new capacity stage), out (kept). The bits are
 * those of a recomputation. O(kept log g), g distinct demands; at most log^2. */
void ef_benchmark_f2_without(ef_auction *a, double *out);

/* ---- estimate and cost sharing (3.3, 3.4) ---------------------------------------------------------------
 */

/* Largest c^(j+u) <= value, j integer; 0 for a value that is not positive or not finite. Canonical arithmetic
 * of 3.3. Local. */
double ef_estimate(double value, double c, double u);

/* Cost sharing of R: the number of winners k (0: nobody), the first k places, at net unit price R / D_k.
 * R <= 0: nobody. O(kept). Local. */
size_t ef_cost_share(const ef_kept *s, double r);

/* ---- AERIA (3.5, 3.7) -----------------------------------------------------------------------------------
 */

/* Facts of one clearing, for reports; `estimates` and `counts` are borrowed from the auction. */
typedef struct ef_clearing {
  size_t kept;
  double floor, f, f2;     /* of the core auction */
  bool vickrey;            /* the branch was taken */
  bool consensus;          /* all R_i equal (T; nobody kept: true), always true for E; false for D */
  size_t estimate_count;   /* distinct estimates, descending */
  const double *estimates; /* (estimate_count) */
  const size_t *counts;    /* (estimate_count) bidders that got each */
} ef_clearing;

typedef struct ef_aeria {
  double c, vickrey_prob;
  ef_variant variant;
} ef_aeria;

/* The mechanism's exact steps under the coin. awards (n) in the order of bidders. `clearing` may be NULL.
 * O(n log n), n log^2 n at worst; D: and O(n) for each distinct estimate. Local. */
void ef_aeria_clear(ef_auction *a, const ef_market *market, const ef_aeria *rule, const ef_coin *coin,
                    ef_award *awards, ef_clearing *clearing);
/* The same for the market that is loaded (ef_auction_load or ef_auction_deviate): no sort by density.
 * `market` is the one that was loaded; a deviation is known to the auction. */
void ef_aeria_clear_loaded(ef_auction *a, const ef_market *market, const ef_aeria *rule, const ef_coin *coin,
                           ef_award *awards, ef_clearing *clearing);

/* The Vickrey branch alone: highest net total bid served at the second highest (3.5 step 3, section 8). There
 * is no capacity stage in it: whoever passes the reserve and fits alone is a candidate and wins or loses. */
void ef_vickrey_clear(const ef_market *market, ef_award *awards);

/* Exact expectation over the coins. Over u, R_i has the law of V_i c^-U with V_i the value that it is taken
 * of, so bidder i is expected to pay, net and per unit, 1/ln c times the integral of max(phi, R/D_k(R)) dR/R
 * over those R of (V_i/c, V_i] that serve it. k(R) has steps where R crosses a suffix maximum of r_k D_k, and
 * each step is integrated in closed form (floor: a logarithm; above it: linear in R), so no quadrature error
 * remains. The Vickrey branch is included with its probability. O(n log n); D: O(n log n + kept * reach),
 * reach the places that fit when the largest demand leaves. */
typedef struct ef_expectation {
  double profit, revenue, winners, used;
  double consensus; /* probability of consensus given the core auction; D: 0 */
  double bound;     /* (1 - vickrey_prob) F2 max(0, lambda - 1/c)/ln c of (1), lambda = min F2(S minus i)/F2;
                       E: lambda 1; D: 0. At most `profit`. */
  size_t pieces;    /* steps integrated */
} ef_expectation;
void ef_aeria_expect(ef_auction *a, const ef_market *market, const ef_aeria *rule, ef_award *scratch,
                     ef_expectation *expectation);

/* Sums of awards. Local. */
ef_sale ef_sale_sum(const ef_market *market, const ef_award *awards);
