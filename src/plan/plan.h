/* What a run will take, computed from deck and text before anything runs: `train --dry-run`, and the plan
 * that the report is compared with. Early stopping is not foreseen: work is what it is at most.
 */
#pragma once

#include "methods/methods.h"
#include "step/step_time.h"
#include <stdio.h>

/* Which ranks take a phase's memory: the root, the one that owns the largest unit (ef_balance deals them), or
 * all alike. */
typedef enum ef_plan_place { EF_PLAN_ROOT, EF_PLAN_OWNER, EF_PLAN_ALL } ef_plan_place;

/* The ranks of a run and the nodes that they fill evenly. */
typedef struct ef_layout {
  int ranks, nodes;
} ef_layout;

ef_layout ef_layout_of(const ef_par *par); /* of this launch. Local. */

/* A phase of the run. */
typedef struct ef_plan_span {
  const char *name, *events; /* literals; events: its names in the run log (plan_internal.h) */
  double flops, seconds;     /* at most; seconds of the slowest rank, 0 where they are next to none */
} ef_plan_span;

enum { EF_PLAN_SPANS = 16 };

typedef struct ef_plan {
  ef_layout layout;             /* that it was made for */
  size_t params, active_params; /* of the global MoE */
  size_t peak_bytes;            /* resident bytes of the largest rank, libraries and MPI included */
  const char *peak_phase;       /* where they are reached; a literal */
  ef_plan_place peak_place;
  size_t start_bytes;  /* of them, resident when the plan was made: libraries, MPI, text */
  size_t device_bytes; /* counted peak of the largest device; 0: no device trains */
  /* Of all devices together, to and from the server, by the closed formula of the method. */
  uint64_t upload_bytes, download_bytes;
  size_t checkpoint_bytes; /* of one full checkpoint while tuning */
  size_t part_bytes;       /* of all parts that lie there together; the proxies' families are not known yet */
  /* Optimiser steps on the server behind the global model, of all units and along the longest chain, and
   * tokens behind it, as ef_cost counts them. */
  size_t total_steps, sequential_steps;
  double device_tokens, server_tokens;
  /* Of everything, by the rules of the phases' events: pretraining, teachers, logits and the control too. */
  double flops;
  ef_plan_span spans[EF_PLAN_SPANS];
  size_t span_count;
  double seconds; /* of all spans; NAN: ef_plan_time was not called */
} ef_plan;

/* Of `method` on these ranks. Made when the run was opened and nothing else was done: what is resident then
 * is taken as it is. EF_DECK, EF_INPUT: what the run would refuse. Local. */
ef_status ef_plan_make(const ef_run *run, const ef_method *method, ef_layout layout, ef_plan *plan);

/* A network that plans take for one that nobody has measured, of the order of 100 Gbit/s between nodes and of
 * shared memory within. */
extern const ef_interconnect EF_PLAN_INTERCONNECT;

/* Adds the seconds of a run with the plan's layout: trains and reads every model for some steps here and
 * multiplies. Where the layout is that of this launch the exchange is in the measurement; otherwise it is
 * that of step/step_time.h over `network`, and one rank must measure. EF_MACHINE. Collective over run->par.
 */
ef_status ef_plan_time(const ef_run *run, const ef_method *method, const ef_interconnect *network,
                       ef_plan *plan);

/* Makes the plan and notes its peak and, if it is the first start of the run, its seconds in the run log
 * (event "plan"), where the report finds them. Called when the run was opened; errors as above. Collective.
 */
ef_status ef_plan_note(const ef_run *run, const ef_method *method, bool first);

/* Prints the plan for people, or as one JSON object. */
void ef_plan_print(const ef_plan *plan, bool json, FILE *out);
