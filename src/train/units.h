/* A phase made of independent units (devices, bases): each unit runs whole on one rank, costs are balanced,
 * all ranks meet at the end.
 */
#pragma once

#include "train/run.h"
#include "train/trainer.h"

/* Whose work it is that a phase stands for, whatever machine computes it. */
typedef enum ef_place { EF_ON_SERVER, EF_ON_DEVICES, EF_IN_CONTROL, EF_PLACE_COUNT } ef_place;

const char *ef_place_name(ef_place place); /* "server", "devices", "control" */

/* What a phase did on this rank; the sums over ranks become its line in the report. Evaluation is not
 * counted. */
typedef struct ef_effort {
  double tokens, flops, steps;
} ef_effort;

/* Adds the steps that a trainer took in this start of the program. Local. */
void ef_effort_add(ef_effort *effort, const ef_trainer *trainer);

/* Adds the forward passes of a teacher with these dims over the same steps, each on the trainer's batch.
 * Local. */
void ef_effort_add_teacher(ef_effort *effort, const ef_trainer *trainer, const ef_dims *teacher);

/* FLOPs of a forward pass, by the token: a third of those of a training step, whose backward pass takes two.
 * Pure. */
double ef_forward_flops_per_token(const ef_dims *dims, size_t context);

/* Cost of a training in FLOPs, to balance units. Pure. */
double ef_train_cost(const ef_dims *dims, size_t steps, size_t batch, size_t context);

typedef struct ef_phase {
  const char *name; /* "local training" */
  size_t units;
  const double *cost; /* (units) any common scale */
  int *owner;         /* (units) filled in: rank of each unit */
  void *ctx;
  /* Does unit `unit`, or finds it done; adds what it computed to `effort`. EF_STOPPED when told to stop. */
  ef_status (*run_unit)(void *ctx, size_t unit, ef_effort *effort);
  ef_place place;
} ef_phase;

/* Runs the units of this rank in ascending order and meets the others; writes the phase's event. Collective.
 */
ef_status ef_phase_run(ef_run *run, ef_phase *phase);
