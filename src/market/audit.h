/* An audit of a market: it replays misreports and checks what the mechanism claims, on this very instance
 * (aeria.md, section 4). Nothing is taken on trust: prices, capacity, budget and envy are recomputed from the
 * awards alone, so that a broken mechanism is caught.
 */
#pragma once

#include "market/mechanism.h"

/* NOT_CHECKED: claimed, but nothing on this market tests it (no winner, no estimate, not asked for). */
typedef enum ef_audit_verdict {
  EF_HOLDS,
  EF_HOLDS_UNDER_CONSENSUS,
  EF_FAILS,
  EF_NOT_CLAIMED,
  EF_NOT_CHECKED
} ef_audit_verdict;
/* "holds", "holds under consensus", "fails", "not claimed", "not checked" */
const char *ef_verdict_name(ef_audit_verdict verdict);

/* The claims, in the order of the report. */
typedef enum ef_claim {
  EF_CLAIM_TRUTHFUL,   /* no misreport of a bid gains */
  EF_CLAIM_DEMAND,     /* no (bid, over-stated demand) gains; claimed by variant D alone */
  EF_CLAIM_RATIONAL,   /* no winner pays more than its bid */
  EF_CLAIM_CAPACITY,   /* units sold <= capacity */
  EF_CLAIM_RESERVE,    /* every unit price >= (1 + gamma) kappa */
  EF_CLAIM_ENVY_PRICE, /* (a) one clearing price: all winners pay it, every loser that fits bids at most it */
  EF_CLAIM_ENVY,       /* (b) nobody prefers another's units and payment */
  EF_CLAIM_BUDGET,     /* payments = profit + infrastructure income; under consensus profit = max(R, phi D) */
  EF_CLAIM_ESTIMATE,   /* every estimate <= F2, on the grid, and independent of the bidder's own bid (T, D) */
  EF_CLAIM_REVENUE,    /* expected profit >= bound (1) */
  EF_CLAIM_COUNT
} ef_claim;
/* "truthful", "demand", "rational", "capacity", "reserve", "envy_price", "envy", "budget", "estimate",
 * "revenue" */
const char *ef_claim_name(ef_claim claim);

typedef struct ef_finding {
  ef_audit_verdict verdict;
  size_t checks, faults;   /* how many comparisons; how many failed */
  size_t consensus_faults; /* of those, under consensus */
  double worst;            /* largest violation, in money, units or as the claim has it */
  char example[256];       /* "user u7 bids 3.5 instead of 2 and gains 0.4 at u=0.25"; "" without faults */
} ef_finding;

typedef struct ef_audit_spec {
  const ef_mechanism *mechanism; /* what is audited; a test passes a broken one */
  ef_setting setting;
  ef_coin coin;       /* of the instance */
  size_t coins;       /* further coins, u = (k + 1/2)/coins, v drawn; 0: that of the instance alone */
  uint64_t seed;      /* of those v and of the sample below */
  size_t most_users;  /* bidders whose misreports are replayed, drawn without replacement; 0: all */
  size_t most_points; /* densities of others tried per bidder, nearest in rank first; 0: all */
  bool demands;       /* also over-stated demands */
  char *const *names; /* (n) of bidders for examples, or NULL: their index */
} ef_audit_spec;

typedef struct ef_audit {
  ef_finding findings[EF_CLAIM_COUNT];
  size_t markets, bidders, clearings; /* clearings: how often the mechanism was run */
  size_t replayed;                    /* bidders whose misreports were replayed */
  size_t deviations;                  /* misreports replayed, counted once per coin */
  double expected_profit; /* over the coin u and the Vickrey branch: exact for AERIA's own clearing,
                             else mean_profit */
  double mean_profit;     /* over the coins tried: shows whether the other is plausible */
  double bound;           /* (1) times the probability of no Vickrey branch; 0 where none is claimed */
  double f2, ratio;       /* ratio = expected profit / F2; NaN where F2 = 0 */
  double consensus_rate;  /* over the coins tried, of the core auction */
} ef_audit;

/* Differences below this share of the money compared (a gain: of the larger of value and payment) are
 * rounding.
 */
#define EF_AUDIT_TOLERANCE 1e-9

/* Audits one market: bids are taken as values. A mechanism whose name is that of an AERIA variant is also
 * held to that variant's estimates, budget and revenue bound. EF_MACHINE, or what the mechanism returns.
 * Local. */
ef_status ef_audit_market(const ef_market *market, const ef_audit_spec *spec, ef_audit *audit);

/* Adds the audit of another market to `sum` (zero at first): counts, profits and bounds add up, worst is the
 * largest, the first example and the gravest verdict stay. Local. */
void ef_audit_add(ef_audit *sum, const ef_audit *part);

/* Whether a claim that the mechanism makes fails. Local. */
bool ef_audit_fails(const ef_audit *audit);
