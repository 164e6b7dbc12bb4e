/* The state of a trainer on disk: saved between steps, brought back with the same bits, turned into a part at
 * the end.
 */
#pragma once

#include "train/record.h"
#include "train/trainer.h"

/* Saves a trainer's whole state, and brings it back if a partial state of this identity is there. Local. */
ef_status ef_trainer_save(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer);
ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Walks the trainer to its end, saving when a checkpoint is due. EF_STOPPED after saving when told to stop.
 * On EF_OK the model holds the kept parameters, and the caller writes the part. Local. */
ef_status ef_trainer_walk(ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Writes model and history of a finished trainer as the part, which ends the partial state; with the record
 * of unit key->index if there are `records` (NULL: none). Local. */
ef_status ef_trainer_finish(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer,
                            const ef_records *records);
