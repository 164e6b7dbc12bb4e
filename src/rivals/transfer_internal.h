/* What the files of transfer.h share: transfer.c has what all steps need, transfer_up.c the way to the
 * server, transfer_down.c the way back.
 */
#pragma once

#include "rivals/transfer.h"
#include "train/part.h"

/* Keys of the parts. Pure. */
ef_part_key ef_transfer_set_key(const ef_transfer *t, size_t round, size_t device);
ef_part_key ef_transfer_server_key(const ef_transfer *t, size_t round);
ef_part_key ef_transfer_targets_key(size_t round);
ef_part_key ef_transfer_local_key(const ef_transfer *t, size_t round, size_t device);

/* Devices that take part in what comes next. Pure. */
static inline bool ef_transfer_part_of(const ef_transfer *t, size_t device) {
  return t->devices->records[device].state == EF_DEVICE_OK;
}

/* The model of a device before the round. Local (any rank). */
ef_status ef_transfer_load_device(const ef_transfer *t, size_t round, size_t device, ef_model *model);

/* The set in a part, created. Local (any rank). */
ef_status ef_transfer_load_set(const ef_transfer *t, const ef_part_key *key, ef_logit_set *set);
