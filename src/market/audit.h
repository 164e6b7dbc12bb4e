/* An audit of a market: it replays misreports and checks what the mechanism claims, on this very instance
 * (aeria.md, section 4). Nothing is taken on trust: prices, capacity, budget and envy are recomputed from the
 * awards alone, so that a broken mechanism is caught.
 */
#pragma once

#include "market/mechanism.h"

typedef enum ef_verdict { EF_HOLDS, EF_HOLDS_UNDER_CONSENSUS, EF_FAILS, EF_NOT_CLAIMED } ef_verdict;
const char *
ef_verdict_name(ef_verdict verdict); /* "holds", "holds under consensus", "fails", "not claimed" */

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
const char *ef_claim_name(ef_claim claim);

typedef struct ef_finding {
  ef_verdict verdict;
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
  size_t bidders, deviations, clearings;
  double expected_profit, bound, f2, ratio; /* ratio = expected profit / F2; NaN where F2 = 0 */
  double consensus_rate;                    /* over the coins tried */
} ef_audit;

/* Gains below this share of the larger of bid and value are rounding. */
#define EF_AUDIT_TOLERANCE 1e-9

/* Audits one market. EF_MACHINE. Local. */
ef_status ef_audit_market(const ef_market *market, const ef_audit_spec *spec, ef_audit *audit);

/* Adds the audit of another market: counts and worst add up, the first example stays. Local. */
void ef_audit_add(ef_audit *sum, const ef_audit *part);

/* Whether a claim that the mechanism makes fails. Local. */
bool ef_audit_fails(const ef_audit *audit);
