/* The rounds of FedMKT between devices and server, but for the training on the server: sets of logits go up,
 * the best of every window are chosen, the server's set comes down and every device learns from it.
 *
 * Every step is a part, so that a round goes on where it was stopped:
 *   EF_UNIT_LOGITS  round * (N + 1) + n   set of device n, or (n = N) of the global model, before the round
 *   EF_UNIT_TARGETS round                 the chosen logits, who gave them, bytes that came up
 *   EF_UNIT_LOCAL   round * N + n         device n after the round, bytes that came down
 * The sets of the devices are removed at the end of their round. All sets are rounded to what the wire
 * carries, the server's own candidates too, so that no candidate has finer numbers than another.
 *
 * The public text itself is taken to be on the devices before: its delivery is charged to nobody, as in every
 * method here.
 */
#pragma once

#include "federation/device.h"
#include "par/ledger.h"
#include "rivals/mutual.h"

/* What a round did on a device. */
typedef struct ef_transfer_record {
  ef_device_state state;
  size_t steps;        /* optimiser steps on the server's logits */
  uint64_t down_bytes; /* of the server's set */
} ef_transfer_record;

typedef struct ef_transfer {
  ef_run *run;
  const ef_population *population;
  ef_devices *devices; /* borrowed; a device whose numbers give out on the way becomes EF_DEVICE_NUMBERS */
  ef_ledger *ledger;   /* borrowed; filled on the root */
  ef_samples samples;  /* owned */
  ef_logit_recipe recipe;
  size_t *rounds;              /* (N) rounds that each device took part in; owned */
  size_t *steps;               /* (N) steps on the server's logits, all rounds; owned */
  ef_transfer_record *records; /* (N) of the current round; owned */
  double *cost;                /* (N) owned */
  int *owner;                  /* (N) owned */
} ef_transfer;

extern const char EF_TRANSFER_SECTIONS[]; /* sections of the deck that the parts depend on */

/* EF_DECK: rivals.top_k above the vocabulary. Local. */
ef_status ef_transfer_check(const ef_run *run);

/* After ef_devices_train. Collective. */
ef_status ef_transfer_open(ef_run *run, const ef_population *population, ef_devices *devices,
                           ef_ledger *ledger, ef_transfer *transfer);
void ef_transfer_close(ef_transfer *transfer);

/* True on all ranks if nothing of the round but the server's training may be missing: its other steps are
 * then only looked up. Collective. */
ef_status ef_transfer_settled(ef_transfer *transfer, size_t round, bool *settled);

/* The set of the global model before round `round` (rivals.rounds: after the last one); `path` is an HDF5
 * file that holds this model. Collective. */
ef_status ef_transfer_server_set(ef_transfer *transfer, size_t round, const char *path);

/* The sets of all devices that take part. EF_NUMBERS: none is left. EF_STOPPED. Collective. */
ef_status ef_transfer_device_sets(ef_transfer *transfer, size_t round);

/* Moves the devices' sets to the root in ascending order, chooses among them and the server's own, writes the
 * targets. Collective. */
ef_status ef_transfer_targets(ef_transfer *transfer, size_t round);
/* The targets of a round into a set of the samples' sizes and winner (windows): a device, or
 * EF_WON_BY_SERVER. Local (any rank). */
ef_status ef_transfer_load_targets(const ef_transfer *transfer, size_t round, ef_logit_set *set,
                                   int32_t *winner);

/* The server's set after the round goes to every device, which learns from it for rivals.device_steps steps;
 * the devices' sets of the round are removed. EF_STOPPED. Collective. */
ef_status ef_transfer_distil(ef_transfer *transfer, size_t round);

/* n_p and |D_p| of the public text, by the index of the token file. Local. */
void ef_transfer_samples(const ef_run *run, size_t *tokens, size_t *windows);

/* Bytes of both directions by the closed formula: for every device and round that it took part in n_p * k *
 * (b + 4) + 4 * |D_p| up, and as many down unless rivals.device_steps is 0. n_p and |D_p| are those of the
 * index of the token file. Local. */
void ef_transfer_formula(const ef_transfer *transfer, uint64_t formula[EF_DIRECTION_COUNT]);
