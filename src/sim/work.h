/* The measured steps of edgefuse-sim.
 */
#pragma once

#include "sim/options.h"

/* What a step took, mean over the measured steps. */
typedef struct ef_sim_spent {
  double seconds, compute, exchange, wait; /* the last two as ef_traffic, compute the rest */
  double bytes;                            /* handed to MPI */
  double micro;                            /* kernels but AdamW, in one micro-batch */
} ef_sim_spent;

/* All of the same numbers. */
enum { EF_SIM_SPENT_FIELDS = sizeof(ef_sim_spent) / sizeof(double) };

typedef struct ef_sim_outcome {
  ef_sim_spent mean, most; /* over ranks: `most` has the largest of each figure */
  double skew;             /* as that of ef_step_work, mean over layers; for steps whose slots are full */
  double loss;             /* cross-entropy per counted token in the last step, the same on all ranks */
} ef_sim_outcome;

/* Trains a model of `dims` on random tokens. Collective. */
ef_status ef_sim_work(ef_par *par, const ef_sim_options *options, const ef_dims *dims,
                      ef_sim_outcome *outcome);
