/* What local training on a device starts from, whatever model it trains: its own text, cut into what it
 * trains on and the slice that it keeps for early stopping, and the recipe of the deck.
 */
#pragma once

#include "federation/population.h"
#include "train/trainer.h"

/* Most windows of the slice that early stopping looks at. */
enum { EF_LOCAL_LOOK = 64 };

typedef struct ef_local_text {
  ef_stream all, train, slice; /* train and slice borrow from all */
} ef_local_text;

/* Reads the text of a device. EF_MACHINE, EF_CHECKPOINT. Local. */
ef_status ef_local_text_read(const ef_run *run, const ef_population *population, size_t device,
                             ef_local_text *text);
void ef_local_text_free(ef_local_text *text);

/* Tokens that a device holds, by the index of the tokens: nothing is read. Local. */
size_t ef_local_tokens(const ef_run *run, const ef_population *population, size_t device);

/* Those of them, at the end, that early stopping looks at: federation.validation_share. Pure. */
size_t ef_local_slice(const ef_deck *deck, size_t tokens);

/* True if a device holds enough text to train on, by the index of the tokens: nothing is read. Local. */
bool ef_local_has_text(const ef_run *run, const ef_population *population, size_t device);

/* True if it takes part at all: it does not fail, by the deck, and has that text. Local. */
bool ef_local_trains(const ef_run *run, const ef_population *population, size_t device);

/* Optimiser steps of a device that trains on this many tokens of its own: federation.steps, and no more than
 * federation.epochs passes over them, at least one. Small texts are learned by heart long before the largest
 * one is through, and a model that early stopping picks halfway has not had the small learning rates. Pure.
 */
size_t ef_local_steps(const ef_deck *deck, size_t tokens);

/* federation.steps and so on with peak learning rate `lr`, with early stopping on `slice`, which is borrowed.
 * Pure. */
ef_recipe ef_local_recipe(const ef_deck *deck, double lr, const ef_stream *slice);
