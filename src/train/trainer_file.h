/* The state of a trainer on disk: saved between steps, brought back with the same bits, turned into a part at
 * the end.
 */
#pragma once

#include "train/part.h"
#include "train/trainer.h"

/* Saves a trainer's whole state, and brings it back if a partial state of this identity is there. Local. */
ef_status ef_trainer_save(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer);
ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Walks the trainer to its end, saving when a checkpoint is due. EF_STOPPED after saving when told to stop.
 * On EF_OK the model holds the kept parameters; the caller writes the part and then forgets the partial
 * state. Local. */
ef_status ef_trainer_walk(ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Writes model and history of a finished trainer as the part; `extend` (may be NULL) adds what the unit knows
 * besides. Local. */
ef_status ef_trainer_finish(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer,
                            ef_status (*extend)(void *ctx, ef_h5 *file), void *ctx);
