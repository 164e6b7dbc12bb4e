/* Many slots of the market over traces: every mechanism on the same users and coins (aeria.md, section 7).
 *
 * Pure functions of the scenario and its seed: no file but the traces that the caller has read, no clock in
 * any result (run times are measured beside them). User i of slot t is drawn from (seed, EF_RNG_USER, t, i)
 * with the same draws in the same order whatever the other fields are: points of a sweep meet the same users.
 */
#pragma once

#include "market/demand.h"
#include "market/instance.h"
#include "market/mechanism.h"
#include "market/trace.h"

/* One simulated setting; ef_scenario_default gives each field but workload and traces its default of
 * aeria.md, sections 0 and 7. The traces belong to the caller (ef_scenario_traces_free). */
typedef struct ef_scenario {
  ef_workload workload; /* borrowed contents */
  size_t slots;
  ef_trace arrivals;     /* (>= 1) users per slot, repeated in a circle */
  ef_trace price;        /* (>= 1) electricity price per slot; kappa = unit_cost * price / its mean */
  ef_trace uplink;       /* (>= 1) bit/s; a user draws one entry */
  ef_trace device;       /* (>= 1) FLOP/s; a user draws one entry */
  double users_scale;    /* multiplies arrivals; the product is rounded */
  double uplink_scale;   /* multiplies uplinks, > 0 */
  double capacity_flops; /* of the cluster, FLOP/s */
  double capacity_ratio; /* > 0: instead, capacity as a share of a public forecast (ef_scenario_capacity) */
  double unit_flops, unit_cost, margin, max_share, rtt;
  double unit_bytes;                    /* bytes/s of memory of a unit; 0: does not bound */
  double device_intensity;              /* bytes/s of device memory per FLOP/s; 0: does not bound */
  double deadline_least, deadline_most; /* s, log-uniform */
  double scale_least, scale_most;       /* complexity, uniform */
  double rate_least, rate_most;         /* tasks/s, log-uniform; rate_least 0: none */
  double value_exponent, value_sigma;   /* value = d^exponent * lognormal(0, sigma), d in units */
  size_t training_slots; /* > 0: the posted price is learnt on so many earlier slots with users of their own
                            (units 2^63 and up of EF_RNG_USER), as the one that maximises their mean profit;
                            0: setting.posted_price stands */
  bool record;           /* keep every bid, allotment and payment (ef_simulation.bid and following) */
  ef_setting setting;
  uint64_t seed;
} ef_scenario;
ef_scenario ef_scenario_default(void);

/* EF_INPUT with the name of the first field that is out of range or the trace that is empty. Local. */
ef_status ef_scenario_check(const ef_scenario *scenario);

/* What generated traces look like; the default has the paper's figures and devices for small networks. */
typedef struct ef_trace_ranges {
  double slot_s;                    /* 3600 */
  int64_t users_least, users_most;  /* a slot: 39 to 112 */
  double volatility;                /* of the electricity price: .25 */
  double uplink_least, uplink_most; /* bit/s: 7e6 to 60e6 */
  double device_least, device_most; /* FLOP/s: .5e9 to 20e9 */
  size_t entries;                   /* of the uplink and device traces: the paper's 1,500 users */
} ef_trace_ranges;
ef_trace_ranges ef_trace_ranges_default(void);

/* Generates every trace of the scenario that has no entries yet, from its seed and slots. EF_INPUT,
 * EF_MACHINE. Local. */
ef_status ef_scenario_generate(ef_scenario *scenario, const ef_trace_ranges *ranges);
void ef_scenario_traces_free(ef_scenario *scenario);

/* Units of the cluster: floor(capacity_flops / unit_flops), or with capacity_ratio that share of a forecast:
 * the mean over the run's slots of the total demand that fits, i.e. of the demands up to max_share of this
 * very capacity (the greatest such number). It is one number for the run: no slot's own bids move it. Local.
 */
ef_status ef_scenario_capacity(const ef_scenario *scenario, int64_t *units);

/* The users of one slot as an instance with one provider, bids equal to values; what ef_simulate runs, also
 * for examples and tests. Users that need no edge or cannot be served have value 0. The accuracy asked for is
 * just below that of a random policy (fixed mode: exit). The caller frees it. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_scenario_instance(const ef_scenario *scenario, size_t slot, ef_instance *instance);

/* The public rules of a slot, with its coins from (seed, EF_RNG_COIN, slot). Local. */
ef_rules ef_scenario_rules(const ef_scenario *scenario, int64_t capacity, size_t slot);

/* User i of the stream `unit` (a slot, or EF_CLEARING_SLOT): its request, its demand by `table`, its value
 * and bid. user->id is NULL. `table` is that of the scenario's workload. Local. */
void ef_scenario_user(const ef_scenario *scenario, const ef_demand_table *table, const ef_rules *rules,
                      uint64_t unit, size_t i, ef_user *user, ef_demand *demand);

/* The slot of the market that ends a training: no simulation has such a number. */
#define EF_CLEARING_SLOT (UINT64_C(1) << 62)

/* What one mechanism did in one slot. Shares and ratios are NaN where what they divide by is 0. A mechanism
 * that refuses a market (too large for it) has `refused` and NaN in every number. */
typedef struct ef_slot_row {
  bool refused;
  double revenue, profit, f, f2, ratio; /* F and F2 of the kept prefix; ratio = profit / F2 */
  double served, utilisation; /* shares of the slot's bidders and of the capacity; of an allotment at most the
                                 demand counts as used */
  double latency_met; /* share of winners whose request ends in time, and whose rate the edge sustains, at the
                         units they were given */
  double accuracy_met; /* share of winners whose exit or policy is as accurate as they ask */
  bool envy;           /* somebody prefers another's units and payment to his own */
  bool consensus;      /* one price was certain: always (one-price mechanisms), all estimates equal (aeria-t);
                       false for the others */
  double welfare; /* values of the winners that are served within their requirements - kappa * units used */
  double utility; /* those values - payments */
  double seconds; /* of the clearing, measured */
} ef_slot_row;

/* Means over the slots where the number exists (NaN: nowhere); ratio_min is over slots with F2 > 0. */
typedef struct ef_summary_row {
  double revenue, profit, f, f2, ratio_mean, ratio_min, served, utilisation, envy_rate, consensus_rate;
  double latency_met, accuracy_met, welfare, utility, seconds;
  size_t cleared; /* slots that the mechanism did not refuse */
} ef_summary_row;

typedef struct ef_simulation {
  size_t slots, mechanism_count;
  const ef_mechanism **mechanisms;     /* (mechanism_count), owned array */
  ef_slot_row *rows;                   /* (mechanism_count, slots), owned */
  ef_summary_row *summary;             /* (mechanism_count), owned */
  char **notes;                        /* (mechanism_count) the first refusal, or NULL; owned */
  double *users, *bidders, *unit_cost; /* (slots), owned: arrivals, those that enter the market, kappa */
  ef_coin *coins;                      /* (slots), owned: from (seed, EF_RNG_COIN, slot, 0), u first */
  int64_t capacity;                    /* units */
  double posted_price;                 /* the net density that `posted` asked */
  /* With scenario.record, else NULL. Bidders of slot t are first[t] .. first[t+1]-1. All owned. */
  size_t *first;    /* (slots + 1) */
  size_t *user;     /* (first[slots]) index in the slot's instance */
  double *bid;      /* (first[slots]) */
  int64_t *demand;  /* (first[slots]) */
  double *allotted; /* (first[slots], mechanism_count) units; 0: lost; NaN: refused */
  double *payment;  /* (first[slots], mechanism_count) */
} ef_simulation;

/* Runs the scenario with these mechanisms. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_simulate(const ef_scenario *scenario, const ef_mechanism *const *mechanisms, size_t count,
                      ef_simulation *simulation);
void ef_simulation_free(ef_simulation *simulation);

/* ---- sweeps ---------------------------------------------------------------------------------------------
 */

typedef enum ef_sweep_kind {
  EF_SWEEP_USERS,    /* factor on arrivals */
  EF_SWEEP_CAPACITY, /* factor on capacity (flops and ratio) */
  EF_SWEEP_C,        /* the grid ratio itself, > 1 */
  EF_SWEEP_DEADLINE, /* factor on both bounds */
  EF_SWEEP_UPLINK,   /* factor on every uplink */
  EF_SWEEP_TAIL      /* sigma of the log-normal values, >= 0 */
} ef_sweep_kind;

enum { EF_SWEEP_POINTS = 8 };
typedef struct ef_sweep {
  ef_sweep_kind kind;
  const char *name; /* "users", "capacity", "c", "deadline", "uplink", "tail" */
  const char *help; /* what the number is, for tables and axes */
  size_t count;     /* default points */
  double points[EF_SWEEP_POINTS];
} ef_sweep;

/* The table, ended by a NULL name; by name, or NULL; all names for messages. Local. */
extern const ef_sweep ef_sweeps[];
const ef_sweep *ef_sweep_find(const char *name);
const char *ef_sweep_names(void);

/* One point: `out` is `base` with what the sweep moves set by x; workload and traces are borrowed from base
 * and must not be freed through out. EF_INPUT for an x out of range. Local. */
ef_status ef_scenario_vary(const ef_scenario *base, ef_sweep_kind kind, double x, ef_scenario *out);
