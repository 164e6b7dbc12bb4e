/* Parts: the finished units of a run, one file each under OUT/parts (kind "part"): common starts, devices'
 * uploads, proxies, bases. A unit that is under way is saved beside it as NAME.partial.h5.
 *
 * A part carries the identity of what it depends on: seed, text, sections of the deck, and the method for
 * what its rounds leave (EF_UNIT_LOCAL to EF_UNIT_TARGETS). A run that resumes, or runs again with other
 * settings of a later phase, takes a part whose identity is its own and computes the others. Parts are
 * written by the rank that computed them and can be read by all.
 */
#pragma once

#include "model/model.h"
#include "store/h5.h"
#include "train/run.h"
#include "train/unit.h"

typedef struct ef_part_key {
  ef_unit_kind kind;
  size_t index;
  const char *sections; /* of the deck that it depends on, as ef_deck_dump takes them */
} ef_part_key;

/* Path of the part, or of its partial state. Local. */
void ef_part_path(const ef_run *run, const ef_part_key *key, bool partial, char *path, size_t size);

/* True if the part is there, whole, and of this identity. A damaged or foreign file is warned about and does
 * not count. Local. */
bool ef_part_exists(const ef_run *run, const ef_part_key *key);
/* The same as the root sees it, on all ranks. Collective. */
ef_status ef_part_there(const ef_run *run, const ef_part_key *key, bool *there);
/* The same for the partial state. Local. */
bool ef_part_usable(const ef_run *run, const ef_part_key *key, bool partial);

/* Adds the optimiser steps behind a part of a trained unit. Local. */
ef_status ef_part_steps(const ef_run *run, const ef_part_key *key, size_t *steps);

/* What fills the file of a part. */
typedef struct ef_part_content {
  void *ctx;
  ef_status (*write)(void *ctx, ef_h5 *file);
} ef_part_content;

/* Writes a whole part: header, identity, content; on failure no file appears. A finished part makes the
 * partial state needless: it is removed. EF_MACHINE. Local. */
ef_status ef_part_write(const ef_run *run, const ef_part_key *key, bool partial,
                        const ef_part_content *content);

/* Creates the file of a part that all ranks write, with header and identity; the caller adds datasets and
 * commits. Collective. */
ef_status ef_part_create_shared(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file);
/* Opens a part of this identity; EF_CHECKPOINT otherwise. Local. */
ef_status ef_part_open(const ef_run *run, const ef_part_key *key, bool partial, ef_h5 **file);
/* Removes a partial state, and what a killed write of one left, if there is any. Local. */
void ef_part_forget(const ef_run *run, const ef_part_key *key);
/* Removes a part that has done its work, and its partial state. Local. */
void ef_part_remove(const ef_run *run, const ef_part_key *key);

/* The model of a part: created and read. Local. */
ef_status ef_part_load(const ef_run *run, const ef_part_key *key, const ef_dims *dims, ef_model *model);
