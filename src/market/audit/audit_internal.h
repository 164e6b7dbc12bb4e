/* The state of one audit, shared by the files of this folder, and what each of them does.
 *
 * Order: the market is cleared under every coin; claims about those outcomes are checked from awards and
 * market; then misreports are replayed. The replays change the auction's working memory, so what is needed
 * of the true market is copied here first.
 */
#pragma once

#include "market/audit.h"

/* One coin that is tried, and what the mechanism did at the true bids. */
typedef struct ef_audit_coin {
  ef_coin coin;
  bool vickrey;     /* AERIA's Vickrey branch is taken; always for that rule alone */
  bool core;        /* all R(F2(S minus i)), i in S, agree */
  bool consensus;   /* a fault here is not excused: core, or the Vickrey branch */
  double estimate;  /* R(F2(S)): E's estimate, and T's under consensus */
  ef_award *awards; /* (n) owned */
} ef_audit_coin;

typedef struct ef_audit_run {
  const ef_market *market;
  const ef_audit_spec *spec;
  ef_audit *audit;
  ef_auction *auction;
  bool aeria;         /* named after an AERIA variant: held to what that variant claims */
  ef_variant variant; /* of the name */
  bool fast;          /* clears as AERIA does: replays need no sort */
  ef_aeria rule;      /* of the fast path */
  size_t coin_count;
  ef_audit_coin *coins;
  double floor, f2; /* of the core auction */
  double *without;  /* (n) F2(S minus i), F2(S) outside S */
  double *density;  /* (n) b/d */
  size_t *order;    /* (n) bidders by density, descending */
  size_t *place;    /* (n) of a bidder in `order` */
  size_t *sample;   /* (sample_count) bidders whose misreports are replayed */
  size_t sample_count;
  double *bid;       /* (n) of the replayed market */
  int64_t *demand;   /* (n) of the replayed market */
  ef_market copy;    /* the market with those two */
  ef_award *scratch; /* (n) */
  ef_award *replies; /* (coins) what the bidder at hand got under each coin */
  double *points;    /* misreports of one bidder */
} ef_audit_run;

/* Clears the market under every coin and finds the facts of the core auction. Local. */
ef_status ef_audit_run_create(ef_audit_run *run, const ef_market *market, const ef_audit_spec *spec,
                              ef_audit *audit);
void ef_audit_run_free(ef_audit_run *run);

/* Whether nothing excuses a fault of bidder i under the coin: consensus, or for E that removing i leaves the
 * estimate unchanged. Local. */
bool ef_audit_agrees(const ef_audit_run *run, const ef_audit_coin *coin, size_t i);

/* Claims about one outcome at the true bids. Local. */
void ef_audit_money(ef_audit_run *run, const ef_audit_coin *coin); /* rational, capacity, reserve, budget */
ef_status ef_audit_envy(ef_audit_run *run, const ef_audit_coin *coin); /* both notions, O(n log n) */
void ef_audit_estimate(ef_audit_run *run, const ef_audit_coin *coin);
void ef_audit_revenue(ef_audit_run *run); /* all coins together */

/* Misreports of bidder i: ascending, without duplicates, into run->points; how many at most. Local. */
size_t ef_audit_points_most(const ef_audit_run *run);
size_t ef_audit_points(ef_audit_run *run, size_t i);
/* Bids just below, at and above a unit price, likewise. Local. */
size_t ef_audit_points_near(ef_audit_run *run, size_t i, double price);

/* Replays misreports of bids, and of demands. Local. */
ef_status ef_audit_deviations(ef_audit_run *run);
ef_status ef_audit_demands(ef_audit_run *run);

/* Runs run->copy under the coins first..next-1 and keeps what bidder i got in run->replies. `loaded`:
 * run->auction holds that market already (fast path). Local. */
ef_status ef_audit_replay(ef_audit_run *run, size_t i, size_t first, size_t next, bool loaded);

/* What bidder i gains over the truth by an award (its value is its bid), and the rounding in it. Local. */
double ef_audit_gain(const ef_audit_run *run, const ef_audit_coin *coin, size_t i, const ef_award *award,
                     double *rounding);

/* Units that an award gives: d, or for a mechanism that may miss deadlines what its payment buys. Local. */
double ef_audit_units(const ef_audit_run *run, size_t i, const ef_award *award);

/* Counts a fault by that much and keeps the first as the example. Local. */
void ef_audit_fault(ef_finding *finding, bool consensus, double amount, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Bidder's name for examples; `room` is for those without one. Local. */
enum { EF_AUDIT_NAME = 32 };
const char *ef_audit_name(const ef_audit_run *run, size_t i, char room[EF_AUDIT_NAME]);

/* Whether a exceeds b by more than the rounding of sums of money (EF_AUDIT_TOLERANCE). Local. */
bool ef_audit_exceeds(double a, double b);

/* The verdicts, from the counts. Local. */
void ef_audit_judge(ef_audit_run *run);
