/* The optimiser that all trainings have in common. */
#pragma once

#include "kernels/kernels.h"

/* AdamW with the betas and epsilon of all trainings (0.9, 0.95, 1e-8), without clipping; `step` from 1. Pure.
 */
ef_adamw ef_adamw_of(double lr, double decay, size_t step);
