/* The devices' side of DeepFusion: each trains its own model on its own text, once, and makes one upload.
 *
 * With federation.rounds = R > 1 (an extension; nothing ever comes down) a device trains on from the model
 * that it uploaded last, with a fresh optimiser, and uploads again, R times in all. What device n does in
 * round r, from 0, is unit r * N + n.
 *
 * A device lives on one rank, and its memory is held only while it trains. What would leave the device is
 * kept in its part (model as it goes over the wire, data embedding); what is measured for the report is kept
 * beside it.
 */
#pragma once

#include "federation/embedding.h"
#include "federation/population.h"
#include "train/evaluate.h"
#include "train/units.h"

typedef enum ef_device_state {
  EF_DEVICE_OK,      /* its upload can be had */
  EF_DEVICE_FAILED,  /* fails by the deck */
  EF_DEVICE_NO_TEXT, /* holds fewer than two tokens */
  EF_DEVICE_NUMBERS, /* its numbers are not finite */
  EF_DEVICE_STATE_COUNT
} ef_device_state;

const char *ef_device_state_text(ef_device_state state); /* "left out: ..." for reports */

/* What is known of every device on every rank after local training. */
typedef struct ef_device_record {
  ef_device_state state;
  size_t steps, kept_step,
      tokens;          /* optimiser steps of all rounds, the last round's kept one, private tokens */
  double holdout_loss; /* of its upload on the public holdout, nat per token */
  size_t peak_bytes;   /* parameters, gradients, moments, activations, text: counted */
  uint16_t embedding[EF_EMBEDDING];
  double local_loss; /* on the text kept for early stopping, as float32 sends it; NAN: no such text */
} ef_device_record;

typedef struct ef_devices {
  size_t count;
  int *owner;                /* (count) rank of each device; owned */
  ef_device_record *records; /* (count) owned */
  ef_quality *validation;    /* (count, domains) of each upload, when eval.devices; owned */
  size_t round;              /* of the uploads, from 0 */
} ef_devices;

extern const char EF_DEVICE_SECTIONS[]; /* sections of the deck that a device depends on */

/* Appended to the sections of what is trained before any device: keys that only say who the devices are and
 * what they do, so that such a part serves other numbers of devices too. */
#define EF_BEFORE_DEVICES                                                                                    \
  ",-federation.devices,-federation.partition,-federation.sigma,-federation.alpha,-federation.steps"         \
  ",-federation.epochs,-federation.validation_share,-federation.eval_every,-federation.patience"             \
  ",-federation.wire,-federation.fail,-federation.fail_probability"

/* Pretrains the family entries' common starts on public text. Collective. */
ef_status ef_families_pretrain(ef_run *run, const ef_population *population);

/* Trains every device that is to be had. EF_STOPPED when told to stop. Collective. */
ef_status ef_devices_train(ef_run *run, const ef_population *population, ef_devices *devices);
/* The next round: every device that has uploaded trains on and uploads anew; one whose numbers are no longer
 * finite uploads its last model again. EF_STOPPED. Collective. */
ef_status ef_devices_train_on(ef_run *run, const ef_population *population, ef_devices *devices);
void ef_devices_free(ef_devices *devices);

/* The model that unit `unit` uploads, which is device unit % N in round unit / N; EF_CHECKPOINT if its part
 * is not there. Local (any rank). */
ef_status ef_device_load(const ef_run *run, const ef_population *population, size_t unit, ef_model *model);
