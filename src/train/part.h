/* Parts: the finished units of a run, one file each under OUT/parts (kind "part"): common starts, devices' uploads,
 * proxies, bases. A unit that is under way is saved beside it as NAME.partial.h5.
 *
 * A part carries the identity of what it depends on (seed, text, sections of the deck). A run that resumes, or runs
 * again with other settings of a later phase, takes a part whose identity is its own and computes the others.
 * Parts are written by the rank that computed them and can be read by all.
 */
#pragma once

#include "model/model.h"
#include "store/h5.h"
#include "train/run.h"
#include "train/trainer.h"
#include "train/unit.h"

typedef struct ef_part_key {
  ef_unit_kind kind;
  size_t index;
  const char *sections; /* of the deck that it depends on */
} ef_part_key;

/* Path of the part, or of its partial state. Local. */
void ef_part_path(const ef_run *run, const ef_part_key *key, bool partial, char *path, size_t size);

/* True if the part is there, whole, and of this identity. A damaged or foreign file is warned about and does not
 * count. Local. */
bool ef_part_exists(const ef_run *run, const ef_part_key *key);

/* Creates the file of a part with header and identity; the caller adds datasets and commits. Local. */
ef_status ef_part_create(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file);
/* Opens a part of this identity; EF_CHECKPOINT otherwise. Local. */
ef_status ef_part_open(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file);
/* Removes a partial state, if there is one. Local. */
void ef_part_forget(const ef_run *run, const ef_part_key *key);

/* The model of a part: created and read. Local. */
ef_status ef_part_load(const ef_run *run, const ef_part_key *key, const ef_dims *dims, ef_model *model);

/* Saves a trainer's whole state, and brings it back if a partial state of this identity is there. Local. */
ef_status ef_trainer_save(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer);
ef_status ef_trainer_restore(const ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Walks the trainer to its end, saving when a checkpoint is due. EF_STOPPED after saving when told to stop. On EF_OK the
 * model holds the kept parameters; the caller writes the part and then forgets the partial state. Local. */
ef_status ef_trainer_walk(ef_run *run, const ef_part_key *key, ef_trainer *trainer);

/* Writes model and history of a finished trainer as the part; `extend` (may be NULL) adds what the unit knows besides.
 * Local. */
ef_status ef_trainer_finish(const ef_run *run, const ef_part_key *key, const ef_trainer *trainer,
                            ef_status (*extend)(void *ctx, ef_h5 *file), void *ctx);
