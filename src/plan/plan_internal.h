/* What the files of a plan share. A run is a list of phases (phases.c); each phase says what it takes:
 * work.c counts work, traffic and files, memory*.c memory, time.c seconds.
 */
#pragma once

#include "plan/plan.h"

/* Seconds of a training step of a model, on the deck's batch for it, and of the forward pass of one window
 * among eval.batch. */
typedef struct ef_rate {
  double step, window;
} ef_rate;

/* What was measured (speed.h), or made of that for another layout. */
typedef struct ef_speeds {
  int ranks;           /* that they are of */
  ef_rate *family;     /* (entries) owned; 0 where the method has no models of their own */
  ef_rate base, local; /* as in ef_planner; local: 0 where no device has a global model */
  ef_rate shared; /* of the global model, its experts spread over all ranks: tune.batch; a window of many */
  double crowd;   /* ranks of a node by its cores, where more than one: all of them were at work when it was
                     measured */
  double adam;    /* seconds of AdamW by the float */
} ef_speeds;

typedef struct ef_planner {
  const ef_run *run;
  const ef_deck *deck;
  const ef_method *method;
  const ef_population *population;
  ef_dims global, base, local; /* local: of a device's global model; global, where no device has one */
  int ranks, nodes, peers;     /* of the run; other ranks on a node */
  const ef_speeds *speeds;     /* borrowed, of these ranks; NULL: no time is planned */
} ef_planner;

/* A phase of a run. NULL: nothing to be refused, no work. */
typedef struct ef_plan_phase {
  const char *name;
  unsigned does; /* bits of which a method must have one; 0: every method has this phase */
  ef_status (*check)(const ef_planner *planner);                 /* what only this phase cannot do: EF_DECK */
  void (*work)(const ef_planner *planner, ef_plan *plan);        /* adds to the plan */
  ef_status (*memory)(const ef_planner *planner, size_t *bytes); /* counted bytes of the largest rank: the
                                                                    sums that its allocations make; 0: it is
                                                                    not run */
  ef_plan_place place;
  bool together; /* all ranks write a file through MPI-IO in it */
  ef_status (*time)(const ef_planner *planner,
                    double *seconds); /* of the slowest rank, by the speeds; left alone
                                         if there is nothing to do. NULL: next to none */
  const char *events; /* names of this phase in the run log, '|' between, a '*' for any end; NULL: its name */
} ef_plan_phase;

/* All phases in the order of a run, ended by a NULL name; whether a method has one. Pure. */
extern const ef_plan_phase ef_plan_phases[];
bool ef_plan_has(const ef_planner *planner, const ef_plan_phase *phase);

/* Writes the event "plan": the peak and, where they were planned, the seconds. EF_MACHINE. Local. */
ef_status ef_plan_event(const ef_run *run, const ef_plan *plan);

/* ---- the deck ------------------------------------------------------------------------------------------ */

/* True if a device trains; if copies of a common start are merged; if the control is trained beside. Pure. */
bool ef_plan_trains(const ef_planner *planner, size_t device);
bool ef_plan_copies(const ef_planner *planner);
bool ef_plan_control(const ef_planner *planner);
/* True if tuning has teachers (fusion/mentors.h). Pure. */
bool ef_plan_mentors(const ef_planner *planner);
/* Rounds in which devices upload: of a fusion; others train their devices once. Pure. */
size_t ef_plan_upload_rounds(const ef_planner *planner);
/* Tokens of all generated text; 0: none is made. Pure. */
size_t ef_plan_generated(const ef_planner *planner);
/* Routed experts of a layer on a device that trains global models. Pure. */
size_t ef_plan_held(const ef_planner *planner);
/* Dims of a device's own model. Pure. */
const ef_dims *ef_plan_dims(const ef_planner *planner, size_t device);
/* Of the entries of federation.families the one with most parameters: it stands for proxies. Pure. */
const ef_dims *ef_plan_largest(const ef_planner *planner);

/* ---- work (work.c) -------------------------------------------------------------------------------- */

void ef_plan_families_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_devices_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_proxies_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_start_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_distil_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_copies_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_control_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_merge_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_answers_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_server_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_rounds_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_average_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_logits_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_transfer_work(const ef_planner *planner, ef_plan *plan);
void ef_plan_tuning_work(const ef_planner *planner, ef_plan *plan);

/* ---- memory: EF_MACHINE. Local. ------------------------------------------------------------------------ */

ef_status ef_plan_families_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_devices_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_proxies_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_start_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_distil_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_copies_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_control_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_merge_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_answers_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_server_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_rounds_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_average_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_logits_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_transfer_memory(const ef_planner *planner, size_t *bytes);
ef_status ef_plan_tuning_memory(const ef_planner *planner, size_t *bytes);

/* Counted peak of the largest device, as the device itself counts it; 0: no device trains. */
ef_status ef_plan_device_bytes(const ef_planner *planner, size_t *bytes);

/* How many ranks of a node share a core when so many of the run's are at work; at least 1. Local. */
double ef_plan_crowd(const ef_planner *planner, int working);

/* ---- time (time.c): EF_MACHINE. Local. -------------------------------------------------------------
 */

ef_status ef_plan_families_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_devices_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_proxies_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_start_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_distil_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_control_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_answers_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_server_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_rounds_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_average_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_logits_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_transfer_time(const ef_planner *planner, double *seconds);
ef_status ef_plan_tuning_time(const ef_planner *planner, double *seconds);

/* ---- blocks of memory ---------------------------------------------------------------------------------- */

static inline size_t ef_plan_larger(size_t a, size_t b) { return a > b ? a : b; }

/* A model with all that its dims hold, and a trainer beside it where there is a recipe, with `extra`
 * parameters of a loss on features. EF_MACHINE. Local. */
ef_status ef_plan_model_bytes(const ef_dims *dims, const ef_recipe *recipe, size_t extra, size_t *model,
                              size_t *trainer);
/* The evaluator of ef_run_measure. Local. */
size_t ef_plan_measure_bytes(const ef_planner *planner, const ef_dims *dims);
/* ef_plan_device_bytes where devices train models of their own families. EF_MACHINE. Local. */
ef_status ef_plan_own_bytes(const ef_planner *planner, size_t *bytes);
/* Targets and samples, which a run with logits holds from the first round on. Local. */
size_t ef_plan_targets_bytes(const ef_planner *planner);
/* ef_local_steps and ef_rounds_steps of a device. Local. */
size_t ef_plan_local_steps(const ef_planner *planner, size_t device);
size_t ef_plan_rounds_steps(const ef_planner *planner, size_t device);
/* A forward pass of the global model whose experts are spread over the ranks, with its exchange. Local. */
size_t ef_plan_spread_bytes(const ef_planner *planner, ef_pass_kind kind, size_t B, size_t T);
/* The tensors of the global model that rank 0 holds. EF_MACHINE. Local. */
ef_status ef_plan_shard_floats(const ef_planner *planner, size_t *shared, size_t *routed);
