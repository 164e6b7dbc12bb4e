/* Instances for the tests of whole markets: a user of complexity d needs exactly d units. */
#pragma once

#include "market/solve.h"

enum { SOLVE_USERS = 16, SOLVE_PROVIDERS = 3 };

typedef struct solve_sample {
  ef_instance instance;
  ef_layer_cost layer;
  ef_exit exit;
  ef_workload workload;
  ef_provider providers[SOLVE_PROVIDERS];
  ef_user users[SOLVE_USERS];
} solve_sample;

/* One provider with all of the capacity, c = 2, coins 0, no users yet. Pointers go to `s`: not to be copied.
 */
void solve_open(solve_sample *s, int64_t capacity);

/* Another user of the provider, who needs `units`; its place is returned. */
size_t solve_user(solve_sample *s, size_t provider, double bid, double units);

/* Further users of provider 0 with a demand of one. */
void solve_bids(solve_sample *s, const double *bids, size_t count);

/* Solves; the outcome is freed by the caller. */
ef_market_outcome solve_run(const solve_sample *s);

/* The user's status is this one, and its price, to 1e-12. */
void solve_expect(const ef_market_outcome *outcome, size_t user, ef_user_status status, double unit_price);
