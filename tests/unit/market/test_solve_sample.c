#include "test_solve_sample.h"
#include <criterion/criterion.h>
#include <math.h>

static char sample_name[] = "sample";

void solve_open(solve_sample *s, int64_t capacity) {
  *s = (solve_sample){
      .layer = {.name = sample_name, .flops = 1e9},
      .exit = {.after = 1, .accuracy = 0.9},
      .workload = {.name = sample_name, .layer_count = 1, .exit_count = 1},
      .providers = {{.share = 1}},
  };
  s->workload.layers = &s->layer;
  s->workload.exits = &s->exit;
  s->instance = (ef_instance){.rules = ef_rules_default(),
                              .workload_count = 1,
                              .provider_count = 1,
                              .workloads = &s->workload,
                              .providers = s->providers,
                              .users = s->users};
  s->instance.rules.capacity = capacity;
  s->instance.rules.has_u = s->instance.rules.has_v = true;
}

size_t solve_user(solve_sample *s, size_t provider, double bid, double units) {
  cr_assert_lt(s->instance.user_count, (size_t)SOLVE_USERS);
  size_t i = s->instance.user_count++;
  s->users[i] = (ef_user){.provider = provider,
                          .value = bid,
                          .bid = bid,
                          .accuracy = 0.5,
                          .deadline = 1,
                          .uplink_bps = 1e6,
                          .complexity = units};
  return i;
}

void solve_bids(solve_sample *s, const double *bids, size_t count) {
  for (size_t i = 0; i < count; i++) solve_user(s, 0, bids[i], 1);
}

ef_market_outcome solve_run(const solve_sample *s) {
  ef_market_outcome outcome;
  ef_status status = ef_market_solve(&s->instance, &(ef_solving){0}, &outcome);
  cr_assert_eq(status, EF_OK, "%s", ef_message());
  return outcome;
}

void solve_expect(const ef_market_outcome *outcome, size_t user, ef_user_status status, double unit_price) {
  const ef_user_outcome *u = &outcome->users[user];
  cr_assert_eq(u->status, status, "user %zu: %s", user, ef_user_status_name(u->status));
  cr_assert_leq(fabs(u->unit_price - unit_price), 1e-12 * unit_price, "user %zu: %.17g", user, u->unit_price);
  double payment = unit_price * (double)u->demand.units;
  cr_assert_leq(fabs(u->payment - payment), 1e-12 * payment, "user %zu: %.17g", user, u->payment);
}
