/* A frozen proxy as the teacher of a base: logits for the KL loss, stages for the loss on features.
 */
#pragma once

#include "fusion/features.h"
#include "model/loss.h"
#include "train/run.h"
#include "train/trainer.h"

typedef struct ef_distiller {
  const ef_deck *deck;
  size_t layers;                /* of the student */
  ef_model *proxy;              /* borrowed, frozen */
  ef_pass *pass;                /* owned: the proxy's activations of the current batch */
  ef_features features;         /* owned; without state when the deck asks for none */
  size_t order[EF_MOST_STAGES]; /* (J) the teacher's stage that each of the student's is compared with */
  ef_teacher teacher;
  float *dtaps;     /* (J,B,T,D_S) owned */
  const float **at; /* (L_S + 1) taps of the student, owned */
  float **dtap;     /* (J) into dtaps, owned */
} ef_distiller;

/* For batches (B,T) of fusion.batch windows. `unit` names the random stream of the features' first
 * parameters. EF_DECK when there are more stages than layers. EF_MACHINE. Local. */
ef_status ef_distiller_create(const ef_run *run, ef_model *proxy, const ef_dims *student, uint64_t unit,
                              ef_distiller *distiller);
void ef_distiller_free(ef_distiller *distiller);

/* The objective for a trainer: borrows the distiller. */
ef_objective ef_distiller_objective(ef_distiller *distiller);
