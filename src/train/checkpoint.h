/* The checkpoints of a run: OUT/checkpoint/step_%08d.h5 (kind "run"), the newest N kept.
 *
 * The number is the count of optimiser steps behind the file, over all units. While units are trained
 * (devices, bases) their states are parts and a checkpoint says only how far the run is; from the merge on it
 * holds the global model, the optimiser, the cursor and the lineage, written by all ranks together.
 */
#pragma once

#include "store/h5.h"
#include "train/run.h"

/* Creates the checkpoint of this step under a temporary name, with header, identity of the whole deck, phase,
 * step and the state of the random numbers (seed: they are counter-based). Collective. */
ef_status ef_checkpoint_create(ef_run *run, const char *phase, size_t step, ef_h5 **file);

/* Commits it, measures how long the checkpoint took (for the time limit) and removes all but the newest
 * run.keep. `started` is ef_clock before ef_checkpoint_create. Collective. */
ef_status ef_checkpoint_commit(ef_run *run, ef_h5 *file, double started);

/* Path of the newest checkpoint that is whole and of this run, "" if there is none; damaged ones are passed
 * over with a warning. EF_CHECKPOINT: the newest whole one is of another deck, text or seed, or all are
 * damaged. Collective. */
ef_status ef_checkpoint_newest(ef_run *run, char *path, size_t size);

/* Optimiser steps behind the results of all ranks. Collective. */
ef_status ef_checkpoint_steps(ef_run *run, size_t *steps);
