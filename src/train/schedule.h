/* Learning rate over the steps of one training: linear warm-up, then half a cosine down to a share of the
 * peak; and the optimiser that all trainings have in common.
 */
#pragma once

#include "kernels/kernels.h"

typedef struct ef_schedule {
  double lr, min_share; /* peak; final rate as a share of it */
  size_t warmup, steps;
} ef_schedule;

/* Rate of step `step` = 0 .. steps-1. Pure. */
double ef_schedule_lr(const ef_schedule *schedule, size_t step);

/* AdamW with the betas and epsilon of all trainings (0.9, 0.95, 1e-8), without clipping; `step` from 1. Pure.
 */
ef_adamw ef_adamw_of(double lr, double decay, size_t step);
