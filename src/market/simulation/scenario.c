#include "market/simulation/simulate_internal.h"

#include "base/memory.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Requirements just below an offer: rounding must not exclude it. */
static const double JUST_BELOW = 1.0 - 1e-9;
static const double MOST_USERS = 1e7, MOST_UNITS = 9e15;

ef_scenario ef_scenario_default(void) {
  return (ef_scenario){.slots = 72,
                       .users_scale = 1.0,
                       .uplink_scale = 1.0,
                       .capacity_flops = 3930e9,
                       .unit_flops = 1e9,
                       .unit_cost = 0.1,
                       .max_share = 0.2,
                       .rtt = 0.005,
                       .deadline_least = 0.08,
                       .deadline_most = 0.8,
                       .scale_least = 1.0,
                       .scale_most = 2.0,
                       .rate_least = 0.5,
                       .rate_most = 5.0,
                       .value_exponent = 0.85,
                       .value_sigma = 0.6,
                       .training_slots = 24,
                       .record = true,
                       .setting = {.aeria = {.c = 2.0}},
                       .seed = 1};
}

/* Field, its place and its range. */
typedef struct field_range {
  const char *name;
  size_t offset;
  double least, greatest;
} field_range;

#define FIELD(name, least, greatest)                                                                         \
  { #name, offsetof(ef_scenario, name), least, greatest }
static const double TINY = 1e-300, HUGE_NUMBER = 1e300;

static ef_status refuse_field(const field_range *f, double value) {
  char least[40], most[48] = "";
  if (f->least == TINY) {
    snprintf(least, sizeof least, "more than 0");
  } else {
    snprintf(least, sizeof least, "at least %.12g", f->least);
  }
  if (f->greatest < HUGE_NUMBER) snprintf(most, sizeof most, " and at most %.12g", f->greatest);
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "simulation: %s is %g; give %s%s", f->name, value, least,
                 most);
}

static ef_status check_fields(const ef_scenario *s) {
  const field_range fields[] = {
      FIELD(users_scale, 0.0, MOST_USERS),
      FIELD(uplink_scale, TINY, HUGE_NUMBER),
      FIELD(capacity_flops, 0.0, HUGE_NUMBER),
      FIELD(capacity_ratio, 0.0, 1e6),
      FIELD(unit_flops, TINY, HUGE_NUMBER),
      FIELD(unit_cost, 0.0, HUGE_NUMBER),
      FIELD(margin, 0.0, HUGE_NUMBER),
      FIELD(max_share, TINY, 1.0),
      FIELD(rtt, 0.0, HUGE_NUMBER),
      FIELD(unit_bytes, 0.0, HUGE_NUMBER),
      FIELD(device_intensity, 0.0, HUGE_NUMBER),
      FIELD(deadline_least, TINY, HUGE_NUMBER),
      FIELD(deadline_most, s->deadline_least, HUGE_NUMBER),
      FIELD(scale_least, TINY, HUGE_NUMBER),
      FIELD(scale_most, s->scale_least, HUGE_NUMBER),
      FIELD(rate_least, 0.0, HUGE_NUMBER),
      FIELD(rate_most, s->rate_least, HUGE_NUMBER),
      FIELD(value_exponent, -10.0, 10.0),
      FIELD(value_sigma, 0.0, 20.0),
      FIELD(setting.posted_price, 0.0, HUGE_NUMBER),
      FIELD(setting.aeria.vickrey_prob, 0.0, 1.0 - 1e-12),
      FIELD(setting.aeria.c, 1.0 + 1e-9, HUGE_NUMBER),
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    double value;
    memcpy(&value, (const char *)s + fields[i].offset, sizeof value);
    if (value >= fields[i].least && value <= fields[i].greatest) continue;
    return refuse_field(&fields[i], value);
  }
  return EF_CHECK(s->capacity_ratio > 0.0 || s->capacity_flops / s->unit_flops <= MOST_UNITS, EF_INPUT,
                  "simulation: capacity_flops of %g are more than %g units of %g FLOP/s", s->capacity_flops,
                  MOST_UNITS, s->unit_flops);
}

static ef_status check_trace(const char *name, const ef_trace *trace, double least) {
  EF_TRY(EF_CHECK(trace->count > 0, EF_INPUT, "simulation: the trace of %s is empty", name));
  for (size_t i = 0; i < trace->count; i++) {
    EF_TRY(EF_CHECK(isfinite(trace->value[i]) && trace->value[i] >= least, EF_INPUT,
                    "simulation: the trace of %s has %g as entry %zu; give at least %g", name,
                    trace->value[i], i, least));
  }
  return EF_OK;
}

ef_status ef_scenario_check(const ef_scenario *s) {
  EF_TRY(ef_workload_check(&s->workload, "workload"));
  EF_TRY(EF_CHECK(s->slots > 0, EF_INPUT, "simulation: slots is 0; give at least 1"));
  EF_TRY(check_fields(s));
  EF_TRY(check_trace("arrivals", &s->arrivals, 0.0));
  EF_TRY(check_trace("electricity prices", &s->price, 0.0));
  EF_TRY(check_trace("uplinks", &s->uplink, TINY));
  return check_trace("devices", &s->device, 0.0);
}

/* ---- generated traces -----------------------------------------------------------------------------------
 */

ef_trace_ranges ef_trace_ranges_default(void) {
  return (ef_trace_ranges){.slot_s = 3600.0,
                           .users_least = 39,
                           .users_most = 112,
                           .volatility = 0.25,
                           .uplink_least = 7e6,
                           .uplink_most = 60e6,
                           .device_least = 0.5e9,
                           .device_most = 20e9,
                           .entries = 1500};
}

ef_status ef_scenario_generate(ef_scenario *s, const ef_trace_ranges *r) {
  if (s->arrivals.count == 0) {
    EF_TRY(ef_trace_arrivals(s->slots, r->slot_s, r->users_least, r->users_most, s->seed, &s->arrivals));
  }
  if (s->price.count == 0) {
    EF_TRY(ef_trace_prices(s->slots, r->slot_s, r->volatility, s->seed, &s->price));
  }
  if (s->uplink.count == 0) {
    EF_TRY(ef_trace_log_uniform(r->entries, r->uplink_least, r->uplink_most, s->seed, EF_TRACE_UPLINK,
                                &s->uplink));
  }
  if (s->device.count > 0) return EF_OK;
  return ef_trace_log_uniform(r->entries, r->device_least, r->device_most, s->seed, EF_TRACE_DEVICE,
                              &s->device);
}

void ef_scenario_traces_free(ef_scenario *s) {
  ef_trace_free(&s->arrivals);
  ef_trace_free(&s->price);
  ef_trace_free(&s->uplink);
  ef_trace_free(&s->device);
}

/* ---- users of a slot ------------------------------------------------------------------------------------
 */

static double entry(const ef_trace *trace, size_t slot) { return trace->value[slot % trace->count]; }

static double draw_entry(const ef_trace *trace, ef_rng *rng) {
  return trace->value[ef_rng_below(rng, trace->count)];
}

static double draw_log_uniform(double least, double most, ef_rng *rng) {
  double share = ef_rng_uniform(rng);
  return least > 0.0 ? least * pow(most / least, share) : 0.0;
}

static double draw_accuracy(const ef_workload *w, ef_rng *rng) {
  size_t count = w->policy_count > 0 ? w->policy_count : w->exit_count;
  size_t i = (size_t)ef_rng_below(rng, count);
  return (w->policy_count > 0 ? w->policies[i].accuracy : w->exits[i].accuracy) * JUST_BELOW;
}

/* The number of draws is the same for every user, so that scenarios that differ in a bound share them. */
static void draw_user(const ef_scenario *s, ef_rng *rng, ef_user *user, double *value_noise) {
  *user = (ef_user){.device_flops = draw_entry(&s->device, rng),
                    .uplink_bps = s->uplink_scale * draw_entry(&s->uplink, rng)};
  user->device_bytes = user->device_flops * s->device_intensity;
  user->deadline = draw_log_uniform(s->deadline_least, s->deadline_most, rng);
  user->complexity = s->scale_least + (s->scale_most - s->scale_least) * ef_rng_uniform(rng);
  user->rate = draw_log_uniform(s->rate_least, s->rate_most, rng);
  user->accuracy = draw_accuracy(&s->workload, rng);
  *value_noise = exp(s->value_sigma * ef_rng_normal(rng));
}

ef_rules ef_scenario_rules(const ef_scenario *s, int64_t capacity, size_t slot) {
  ef_rules rules = ef_rules_default();
  double mean = ef_trace_mean(&s->price);
  ef_rng coin = ef_rng_stream(s->seed, EF_RNG_COIN, slot, 0);
  rules.u = ef_rng_uniform(&coin);
  rules.v = ef_rng_uniform(&coin);
  rules.has_u = rules.has_v = true;
  rules.c = s->setting.aeria.c;
  rules.vickrey_prob = s->setting.aeria.vickrey_prob;
  rules.variant = s->setting.aeria.variant;
  rules.unit_flops = s->unit_flops;
  rules.unit_bytes = s->unit_bytes;
  rules.capacity = capacity;
  rules.unit_cost = mean > 0.0 ? s->unit_cost * entry(&s->price, slot) / mean : 0.0;
  rules.margin = s->margin;
  rules.max_share = s->max_share;
  rules.rtt = s->rtt;
  return rules;
}

void ef_scenario_user(const ef_scenario *s, const ef_demand_table *table, const ef_rules *rules,
                      uint64_t unit, size_t i, ef_user *user, ef_demand *demand) {
  ef_rng rng = ef_rng_stream(s->seed, EF_RNG_USER, unit, (uint32_t)i);
  double noise;
  draw_user(s, &rng, user, &noise);
  ef_demand_find(table, rules, user, demand);
  if (demand->need != EF_NEED_EDGE) return;
  user->value = user->bid = pow((double)demand->units, s->value_exponent) * noise;
}

static void fill_crowd(const ef_scenario *s, const ef_demand_table *table, uint64_t unit, ef_crowd *crowd) {
  for (size_t i = 0; i < crowd->shell.user_count; i++) {
    ef_scenario_user(s, table, &crowd->shell.rules, unit, i, &crowd->users[i], &crowd->demands[i]);
  }
}

ef_status ef_crowd_make(const ef_scenario *s, const ef_demand_table *table, int64_t capacity, uint64_t unit,
                        size_t slot, ef_crowd *crowd) {
  *crowd = (ef_crowd){0};
  double users = round(entry(&s->arrivals, slot) * s->users_scale);
  EF_TRY(EF_CHECK(users <= MOST_USERS, EF_INPUT, "simulation: slot %zu: %g users; at most %g", slot, users,
                  MOST_USERS));
  crowd->workload = s->workload;
  crowd->provider = (ef_provider){.share = 1.0};
  crowd->shell = (ef_instance){.rules = ef_scenario_rules(s, capacity, slot),
                               .workload_count = 1,
                               .provider_count = 1,
                               .user_count = (size_t)users,
                               .workloads = &crowd->workload,
                               .providers = &crowd->provider};
  ef_status status = EF_NEW(crowd->users, crowd->shell.user_count);
  if (status == EF_OK) status = EF_NEW(crowd->demands, crowd->shell.user_count);
  if (status != EF_OK) {
    ef_crowd_free(crowd);
    return status;
  }
  crowd->shell.users = crowd->users;
  fill_crowd(s, table, unit, crowd);
  return EF_OK;
}

void ef_crowd_free(ef_crowd *crowd) {
  ef_free(crowd->users);
  ef_free(crowd->demands);
  *crowd = (ef_crowd){0};
}
