/* Many slots of the market over traces: every mechanism on the same users and coins (aeria.md, section 7).
 *
 * Pure functions of the setting and the seed: no file but the traces that the caller has read, no clock in
 * any result (run times are measured beside them).
 */
#pragma once

#include "market/instance.h"
#include "market/mechanism.h"
#include "market/trace.h"

/* One simulated setting; market/simulate.c gives each field its default of aeria.md, section 7. */
typedef struct ef_scenario {
  ef_workload workload; /* borrowed contents */
  size_t slots;
  ef_trace arrivals;     /* (>= 1) users per slot, repeated in a circle */
  ef_trace price;        /* (>= 1) electricity price per slot; kappa = unit_cost * price / its mean */
  ef_trace uplink;       /* (>= 1) bit/s; a user draws one entry */
  ef_trace device;       /* (>= 1) FLOP/s; a user draws one entry */
  double users_scale;    /* multiplies arrivals */
  double capacity_flops; /* of the cluster, FLOP/s */
  double capacity_ratio; /* > 0: instead, capacity as a share of the slot's total demand (public forecast:
                            the mean total of the run's users under the same setting, not the slot's own) */
  double unit_flops, unit_cost, margin, max_share, rtt;
  double deadline_least, deadline_most; /* s, log-uniform */
  double scale_least, scale_most;       /* complexity, uniform */
  double rate_least, rate_most;         /* tasks/s, log-uniform; 0: none */
  double value_exponent, value_sigma;   /* value = d^exponent * lognormal(0, sigma) */
  ef_setting setting;
  uint64_t seed;
} ef_scenario;
ef_scenario ef_scenario_default(void);

/* What one mechanism did in one slot. */
typedef struct ef_slot_row {
  double revenue, profit, f2, ratio; /* ratio NaN where F2 = 0 */
  double served, utilisation;        /* shares of the slot's bidders and of the capacity */
  double latency_met, accuracy_met;  /* shares of winners */
  bool envy, consensus;
  double welfare; /* sum of winners' values - kappa * used */
  double seconds; /* of the clearing, measured */
} ef_slot_row;

/* Means over slots; ratio_min is over slots with F2 > 0. */
typedef struct ef_summary_row {
  double revenue, profit, ratio_mean, ratio_min, served, utilisation, envy_rate, consensus_rate;
  double latency_met, accuracy_met, welfare, seconds;
} ef_summary_row;

typedef struct ef_simulation {
  size_t slots, mechanism_count;
  const ef_mechanism **mechanisms;     /* (mechanism_count), owned array */
  ef_slot_row *rows;                   /* (mechanism_count, slots), owned */
  ef_summary_row *summary;             /* (mechanism_count), owned */
  double *users, *bidders, *unit_cost; /* (slots), owned: arrivals, those that enter the market, kappa */
} ef_simulation;

/* Runs the scenario with these mechanisms. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_simulate(const ef_scenario *scenario, const ef_mechanism *const *mechanisms, size_t count,
                      ef_simulation *simulation);
void ef_simulation_free(ef_simulation *simulation);

/* The users of one slot as an instance with one provider, bids equal to values; what ef_simulate runs, also
 * for examples and tests. The caller frees it. Local. */
ef_status ef_scenario_instance(const ef_scenario *scenario, size_t slot, ef_instance *instance);
