/* Learning rate over the steps of one training: linear warm-up, then half a cosine down to a share of the
 * peak.
 */
#pragma once

#include <stddef.h>

typedef struct ef_schedule {
  double lr, min_share; /* peak; final rate as a share of it */
  size_t warmup, steps;
} ef_schedule;

/* Rate of step `step` = 0 .. steps-1. Pure. */
double ef_schedule_lr(const ef_schedule *schedule, size_t step);
