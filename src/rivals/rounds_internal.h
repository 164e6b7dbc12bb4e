/* One federated round under way; rounds.c walks the rounds, rounds_device.c is the devices' side,
 * rounds_average.c the server's, rounds_record.c what is kept of both.
 */
#pragma once

#include "rivals/rounds.h"
#include "train/record.h"

/* What is known of a device on every rank, of this round alone. */
typedef struct ef_round_device {
  ef_device_state state;
  size_t steps, kept_step, tokens, peak_bytes;
  double holdout_loss;           /* of its upload on the public holdout, nat per token */
  uint64_t down_bytes, up_bytes; /* handed to the transport; up on the root */
  int32_t *order;                /* (MoE layers,E) experts that it holds, then the others; borrowed */
} ef_round_device;

typedef struct ef_round {
  ef_run *run;
  const ef_population *population;
  const ef_rounds_plan *plan;
  ef_dims global, local;
  size_t number, layers;    /* from 0; layers with experts */
  ef_part_key start;        /* part with the model that the round begins with */
  ef_round_device *devices; /* (N) owned */
  int32_t *orders;          /* (N,MoE layers,E) owned */
  int *owner;               /* (N) rank that trains a device; owned */
  ef_quality *validation;   /* (domains) of the model after the round; owned */
  char name[32];            /* of the phase */
} ef_round;

/* Parts of this round: its result, and what device n sends up. Pure. */
ef_part_key ef_round_key(const ef_round *round, size_t number);
ef_part_key ef_round_local_key(const ef_round *round, size_t device);

/* The records of the devices as rows; a unit of part number k is device k % N. Borrows `round`. Pure. */
ef_records ef_round_records(ef_round *round);

/* Writes the part of the round: model, records and validation. Local (the root). */
ef_status ef_round_write(ef_round *round, const ef_model *model);
/* Brings records and validation back from the part, on all ranks. Collective. */
ef_status ef_round_restore(ef_round *round);

/* The devices receive, train and make ready what they send. EF_STOPPED. Collective. */
ef_status ef_round_train(ef_round *round);

/* What they send streams to the root, which averages, measures and writes the part of the round. EF_NUMBERS
 * if there is nothing to average. Collective. */
ef_status ef_round_average(ef_round *round);
