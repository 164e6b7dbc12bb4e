/* What the kinds of workload share in the search for the least resource: prefix sums and the judgement of one
 * split of the work between device and edge. Private to this folder.
 */
#pragma once

#include "base/arena.h"
#include "market/demand.h"

/* Sums over layers have one entry per partition q = 0..layers: layers 1..q. */
struct ef_demand_table {
  const ef_workload *workload;                  /* borrowed */
  ef_arena arena;                               /* everything below */
  double *flops;                                /* (layers+1) */
  double *out_bytes;                            /* (layers+1) z_q, no sum; z_0 = input_bytes */
  double *attention, *weight, *prefill, *cache; /* (layers+1) autoregressive only, else NULL */
  double *head_flops, *head_bytes;              /* (exits+1) sums over the first exits */
  size_t *heads;  /* (layers+1) exits whose head runs on the device: after <= q; none at q = 0 */
  double *device; /* (policies, layers+1) expected FLOPs on the device; forward pass only */
  double *edge;   /* (policies, layers+1) and at the edge */
  double *share;  /* (policies, layers+1) S: samples that reach the edge, exactly 0 if none can */
  size_t *last;   /* (policies) depth of the deepest exit where anything leaves */
};

/* One split of a request: expected seconds, and what is left for the edge. */
typedef struct ef_split {
  double device_s;
  double transfer_s; /* the uplink is busy */
  double network_s;  /* with round trips */
  double work;       /* of the edge, FLOPs (autoregressive: seconds on one unit times unit_flops) */
  double slack;      /* time left for it */
  bool in_time;      /* slack > 0, or what holds where the edge has no work */
} ef_split;

/* A user and its search. */
typedef struct ef_search {
  const ef_demand_table *table;
  const ef_rules *rules;
  const ef_user *user;
  ef_demand best; /* flops INFINITY while nothing is feasible */
} ef_search;

/* Seconds of `work` at `speed`; no work takes no time on anything. */
static inline double ef_seconds(double work, double speed) { return work > 0 ? work / speed : 0; }

/* Takes the split as the best if it is feasible and needs less than all before it. Splits come in the order
 * of (choice, partition), so that ties stay with the first. */
void ef_search_try(ef_search *search, size_t choice, double accuracy, size_t q, const ef_split *split);

/* Every pair of a forward pass with fixed exits or under policies, and of an autoregressive workload. */
void ef_search_fixed(ef_search *search);
void ef_search_confidence(ef_search *search);
void ef_search_tokens(ef_search *search);
