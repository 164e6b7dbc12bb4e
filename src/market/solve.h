/* An instance solved: demands, one auction per market, what each user gets (aeria.md, section 8: outcome).
 */
#pragma once

#include "market/auction.h"
#include "market/demand.h"
#include <stdio.h>

typedef enum ef_user_status {
  EF_USER_INFEASIBLE,
  EF_USER_SELF,
  EF_USER_TOOBIG,
  EF_USER_RESERVE,
  EF_USER_PRUNED,
  EF_USER_LOSE,
  EF_USER_WIN,
  EF_USER_STATUS_COUNT
} ef_user_status;
const char *ef_user_status_name(ef_user_status status); /* "infeasible", ... */

typedef struct ef_user_outcome {
  ef_demand demand;
  ef_user_status status;
  double unit_price, payment;
} ef_user_outcome;

typedef struct ef_estimate_count {
  double value;
  size_t count;
} ef_estimate_count;

enum { EF_MARKET_NAME = 32 };
typedef struct ef_market_summary {
  char name[EF_MARKET_NAME]; /* ef_market_name */
  int64_t capacity;
  size_t users; /* after infeasible, self and toobig */
  size_t kept;
  double floor, f, f2;
  ef_estimate_count *estimates; /* (estimate_count), descending; owned */
  size_t estimate_count;
  bool consensus, vickrey;
  ef_sale sale;
  ef_expectation expected; /* filled when asked for */
} ef_market_summary;

typedef struct ef_market_outcome {
  size_t market_count, user_count;
  ef_market_summary *markets; /* owned */
  ef_user_outcome *users;     /* owned, in the order of the instance */
  ef_coin coin;
  bool expected; /* ef_solving.expect was set */
  double revenue, profit, infrastructure_income;
  double seconds; /* of demands and auctions; no result depends on it */
} ef_market_outcome;

typedef struct ef_solving {
  bool expect;              /* exact expectation over the coin */
  const ef_demand *demands; /* (users) made elsewhere, e.g. by other ranks; NULL: computed here */
} ef_solving;

/* Phase I: every user's demand, (users). Local. */
ef_status ef_demands_find(const ef_instance *instance, ef_demand *demands);

/* Whether the user's demand fits the public cap of its market, max_share * C_k in double. Local. */
bool ef_demand_fits(const ef_instance *instance, size_t user, const ef_demand *demand);

/* The bidders of one market as plain arrays, and the users behind them. */
typedef struct ef_book {
  ef_market market; /* bid and demand are owned by the book */
  double *bid;
  int64_t *demand;
  size_t *user; /* (n) index in the instance; owned */
} ef_book;
/* Book of market m (0..ef_market_count-1). The caller frees it. Local. */
size_t ef_market_count(const ef_instance *instance);
/* Its name in outcomes and reports: "provider<m>", or "pooled". Local. */
void ef_market_name(const ef_instance *instance, size_t m, char name[EF_MARKET_NAME]);
ef_status ef_book_make(const ef_instance *instance, const ef_demand *demands, size_t m, ef_book *book);
void ef_book_free(ef_book *book);

/* The whole. EF_INPUT for a faulty instance, EF_MACHINE. The rules must have their coins. Local. */
ef_status ef_market_solve(const ef_instance *instance, const ef_solving *solving, ef_market_outcome *outcome);
void ef_market_outcome_free(ef_market_outcome *outcome);

/* The outcome as JSON text in counted memory (one object, 17 digits; null for a number that is not finite,
 * for the one of exit and policy that the workload does not offer, and for what an infeasible user lacks),
 * freed by the caller. EF_INPUT if an id is no UTF-8, EF_MACHINE. Local. */
ef_status ef_market_outcome_json(const ef_instance *instance, const ef_market_outcome *outcome, char **json);
