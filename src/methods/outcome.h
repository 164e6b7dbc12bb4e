/* What a method leaves behind for the report, and the models on the way to it.
 *
 * Step accounting. Server steps of a model are those behind it since the common starts: total counts every
 * optimiser step, sequential only the longest chain (bases are distilled side by side). Device tokens are the
 * sum over the devices that shaped the model of steps * batch * context. The pretraining of the common starts
 * stands behind every model and is counted in none.
 */
#pragma once

#include "fusion/bases.h"
#include "fusion/tune.h"
#include "methods/clearing.h"

typedef struct ef_cost {
  size_t total_steps, sequential_steps; /* optimiser steps on the server */
  size_t device_tokens, server_tokens;
} ef_cost;

/* A model on the way to the global one. */
typedef struct ef_stage {
  char name[48];
  ef_quality *by_domain; /* (domains) owned */
  ef_cost cost;
} ef_stage;

/* The same on all ranks, the ledger on the root. What a method does not have stays empty. */
typedef struct ef_outcome {
  ef_population population;
  ef_devices devices; /* count 0: no device took part */
  ef_ledger ledger;
  uint64_t formula[EF_DIRECTION_COUNT]; /* bytes by the closed formula of the method */
  ef_dims global;
  ef_clusters clusters;
  ef_bases bases;
  ef_stage *stages; /* (stage_count) in the order of the run; owned */
  size_t stage_count;
  ef_tuned tuned;         /* the global model */
  ef_cost cost;           /* behind it */
  ef_tuned public_only;   /* the control; steps 0 if it was not asked for */
  ef_clearing_run market; /* the clearing at the end; not done if the deck does not want it */
  double peak_bytes;      /* resident peak of the rank that took most, up to the report; 0: not measured */
  int peak_rank;          /* the lowest such rank */
} ef_outcome;

/* Population, an empty ledger, dims of the global model. EF_DECK, EF_INPUT, EF_MACHINE. Local. */
ef_status ef_outcome_open(const ef_run *run, ef_outcome *outcome);
void ef_outcome_free(ef_outcome *outcome);

/* Adds a stage with a copy of by_domain (domains). EF_MACHINE. Local. */
ef_status ef_outcome_stage(const ef_run *run, ef_outcome *outcome, const ef_quality *by_domain,
                           const ef_cost *cost, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
