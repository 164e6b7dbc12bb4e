/* Workloads and users made in memory for the tests of the least resource. */
#pragma once

#include "base/rng.h"
#include "market/demand.h"

enum { SAMPLE_LAYERS = 12, SAMPLE_EXITS = 5, SAMPLE_POLICIES = 4 };

typedef struct demand_sample {
  ef_workload w;
  ef_layer_cost layers[SAMPLE_LAYERS];
  ef_exit exits[SAMPLE_EXITS];
  ef_policy policies[SAMPLE_POLICIES];
  double leave[SAMPLE_POLICIES][SAMPLE_EXITS];
  ef_rules rules;
  ef_user user;
} demand_sample;

typedef enum sample_kind { FIXED, CONFIDENCE, TOKENS_FIXED, TOKENS_CONFIDENCE, SAMPLE_KINDS } sample_kind;

/* Random numbers in [a, b), uniform or log-uniform. */
double sample_between(ef_rng *rng, double a, double b);
double sample_log(ef_rng *rng, double a, double b);

/* A random workload and user; every degenerate case (no head, no FLOPs, exits at layer 0 or together, exits
 * where nothing leaves, no device) turns up now and then. */
void sample_make(demand_sample *s, sample_kind kind, uint64_t seed);

/* Points the workload to the arrays: after a copy. */
void sample_bind(demand_sample *s);

/* Three layers of 2, 4 and 4 GFLOP that send 1e6, 5e5 and 1e3 bytes (input 2e6), exits after 1 (head 1 GFLOP,
 * accuracy 0.6) and after 3 (no head, 0.8); a device of 4 GFLOP/s, 8e7 bit/s, deadline 1 s, rtt 50 ms. */
void sample_small(demand_sample *s);

/* One user's demand through a table of its own. */
ef_demand sample_find(const demand_sample *s);

/* The least of ef_demand_of_pair over all pairs, and past them. */
double sample_least(const demand_sample *s, size_t *choice, size_t *q);
