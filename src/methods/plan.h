/* What a run will take, computed from deck and text before anything runs: `train --dry-run`, and the plan that the report
 * is compared with.
 */
#pragma once

#include "methods/methods.h"
#include <stdio.h>

typedef struct ef_plan {
  size_t params, active_params; /* of the global MoE */
  size_t peak_bytes;            /* resident bytes of the largest rank, libraries and MPI included */
  size_t device_bytes;          /* counted peak of the largest device */
  uint64_t upload_bytes;        /* of all devices, by the closed formula */
  size_t checkpoint_bytes;      /* of one full checkpoint while tuning */
  size_t part_bytes;            /* of all parts together */
  size_t total_steps, sequential_steps;   /* optimiser steps on the server: of all units, and along the longest chain */
  double device_tokens, server_tokens;    /* at most, early stopping aside */
  double flops;                           /* at most */
} ef_plan;

/* For `ranks` ranks. EF_DECK, EF_INPUT: what the run would refuse. Local. */
ef_status ef_plan_make(const ef_run *run, int ranks, ef_plan *plan);

/* Prints the plan for people, or as one JSON object. */
void ef_plan_print(const ef_plan *plan, bool json, FILE *out);
