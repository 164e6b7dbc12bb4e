/* Common starts: a model trained on public text alone, from which every device of a family (or every base)
 * sets out. Without a common start the mean of weights means nothing.
 */
#pragma once

#include "train/trainer_file.h"
#include "train/units.h"

/* Trains a model of these dims on the public text for `steps` steps with the federation's batch, rates and
 * clipping, keeps the step with the least holdout loss, and writes the part; returns at once if the part is
 * there. EF_STOPPED. Local. */
ef_status ef_pretrain_unit(ef_run *run, const ef_part_key *key, const ef_dims *dims, size_t steps,
                           size_t context, ef_effort *effort);
