/* Kernels that take simulated time.
 *
 * Simulated ranks take turns on one core, often a busy one, so that measured times of theirs would say little
 * and differ from run to run. Instead the work is really done, in no simulated time
 * (--cfg=smpi/simulate-computation:no), and each product, attention and AdamW then advances its rank's clock
 * by its floating-point operations at the speed of its host. All other kernels take no time. So the figures
 * of two runs are equal.
 */
#pragma once

#include "kernels/kernels.h"

enum { EF_SIM_LAYERS = 16 }; /* with experts, at most */

/* The blas kernels, in simulated time, for a model of so many layers with experts; adam_seconds of AdamW per
 * float. One table per process. Local. */
const ef_kernels *ef_sim_kernels(double adam_seconds, size_t moe_layers);

/* Seconds that all kernels but AdamW have taken so far on this rank. Local. */
double ef_sim_kernel_seconds(void);
/* Of them, those of the experts held here in the forward pass of the index-th layer with experts, for all
 * ranks, while this rank had a micro-batch of its own. Local. */
double ef_sim_expert_seconds(size_t index);
