/* Common starts: a model trained on public text alone, from which every device of a family (or every base)
 * sets out. Without a common start the mean of weights means nothing.
 */
#pragma once

#include "train/trainer_file.h"
#include "train/units.h"

/* Most windows of the public holdout that selection looks at. */
enum { EF_PRETRAIN_LOOK = 128 };

typedef struct ef_start {
  const ef_dims *dims;
  size_t steps, context; /* optimiser steps; tokens of a window */
  double lr;             /* peak learning rate */
} ef_start;

/* Trains such a model on the public text with the federation's batch, schedule and clipping, keeps the step
 * with the least holdout loss, and writes the part; returns at once if the part is there. EF_STOPPED. Local.
 */
ef_status ef_pretrain_unit(ef_run *run, const ef_part_key *key, const ef_start *start, ef_effort *effort);
