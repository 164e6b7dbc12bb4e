/* Federated rounds of the global Mixture-of-Experts: the server sends it to the devices, each trains what it
 * got on its own text, and the server averages what comes back (McMahan et al., "Communication-efficient
 * learning of deep networks from decentralized data", AISTATS 2017; experts over their holders as in
 * FedJETS, Dun et al. 2023, and deepfusion.md section 7).
 *
 * With `held` = E a device receives the whole model: FedAvg. With fewer it receives, in every layer, the
 * `held` experts of highest gate mass on its own text, gated by a common expert that it was given once, in
 * the first round. Weights of the average are the devices' private tokens. Early exits travel and are
 * averaged as they are: they are trained on the server.
 *
 * Both directions go over the wire (federation.wire rounds both) and through the ledger:
 * 2 R sum |M_loc| + N |m_c|. A device's choice of experts, `held` small numbers for each layer and round, is
 * part of no formula of section 7 and is not counted. A device that fails, or has no text, takes no part; one
 * whose numbers are not finite is left out of that round's average and starts the next one like the others.
 */
#pragma once

#include "federation/device.h"
#include "par/ledger.h"
#include "train/part.h"

typedef struct ef_rounds_plan {
  ef_part_key start;    /* part with the global model before the first round */
  const char *sections; /* of the deck that the rounds depend on */
  size_t held;          /* routed experts of a layer on a device, 1 .. E */
  bool common; /* experts are chosen by a common expert, the start of the bases, which is delivered */
} ef_rounds_plan;

/* What the rounds leave behind, the same on all ranks; the ledger is filled on the root. */
typedef struct ef_rounds {
  size_t count;
  ef_part_key last;                     /* part with the global model after the last round */
  ef_quality *validation;               /* (count, domains) of the global model after each round; owned */
  size_t *steps;                        /* (count) optimiser steps of all devices in each round; owned */
  float *lineage;                       /* (E,N) owned */
  uint64_t formula[EF_DIRECTION_COUNT]; /* bytes by closed formula */
} ef_rounds;

/* Refuses what would fail only after hours: EF_DECK for rivals.experts (`held`) outside global.top_k ..
 * global.experts and for a federation in which no device can train. Local. */
ef_status ef_rounds_check(const ef_run *run, const ef_population *population, size_t held);

/* Runs rivals.rounds rounds, each kept as a part of kind EF_UNIT_ROUND; fills devices (records summed over
 * the rounds: steps; the last: kept step, state, holdout loss of the upload; the largest: memory), the ledger
 * and `rounds`. Memory is that of training; the common expert's forward pass before it is not counted. The
 * root alone sums and measures: it holds the global model, twice that in sums, and one upload. lineage:
 * expert e of the last round is the mean of its holders by their tokens; the share of each device in it,
 * averaged over the layers (rows sum to the share of layers in which e was held). EF_STOPPED; EF_NUMBERS if
 * no device of a round ends with finite numbers. Collective. */
ef_status ef_rounds_run(ef_run *run, const ef_population *population, const ef_rounds_plan *plan,
                        ef_devices *devices, ef_ledger *ledger, ef_rounds *rounds);
void ef_rounds_free(ef_rounds *rounds);

/* Local steps in a round of a device that trains on this many tokens of its own: rivals.steps, or an equal
 * part of ef_local_steps, so that the device reads as many tokens in all rounds as one that trains a model of
 * its own. At least one, unless federation.steps is 0. Pure. */
size_t ef_rounds_steps(const ef_deck *deck, size_t tokens);
