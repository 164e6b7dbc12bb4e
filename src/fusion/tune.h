/* The training of a global model by all ranks together, experts spread over them: phase III of DeepFusion,
 * second half, and the training on the server in every other method.
 *
 * The paper's recipe trains all but the routed experts by cross-entropy; the extended one trains the experts
 * too and adds KL to the proxies. The control "public only" is the same training of a model that no device
 * has shaped. Early exits are trained with the rest: each adds its weighted cross-entropy to the loss. The
 * step with the least loss on the public holdout is kept; step 0, the start, counts too in a training that
 * ends a run or is the control, if the model has no exits.
 */
#pragma once

#include "train/documents.h"
#include "train/feed.h"
#include "train/part.h"

typedef struct ef_tuning {
  ef_unit_kind unit; /* EF_UNIT_TUNE: the result of the run, its states are checkpoints; others: a part */
  size_t index;      /* of that part */
  ef_part_key start; /* the part that holds the global model it begins with */
  const ef_dims *global;
  const ef_feed *feed;
  size_t steps;
  bool train_experts;
  const float *lineage;        /* (E,N) share of each device's model in each expert; NULL: none has any */
  const char *name, *sections; /* of the phase; of the deck that the result depends on */
} ef_tuning;

/* What came out, the same on all ranks. */
typedef struct ef_tuned {
  size_t steps, kept;         /* optimiser steps; the one kept, 0: the start */
  double start_loss, loss;    /* on the public holdout, nat per token: before, and of the kept step */
  ef_quality *before, *after; /* (domains) validation; owned */
  size_t *load;               /* (MoE layers, E) tokens of the holdout that each expert received; owned */
  /* The validation documents, as the final model scores them; count 0 unless the unit is EF_UNIT_TUNE and all
   * text is scored (eval.windows 0). Not stored: a run that is found finished measures them again. */
  ef_documents documents;
} ef_tuned;

/* Trains to the end, saves on the way, measures before and after. EF_STOPPED, EF_NUMBERS (the last good
 * checkpoint is named). Collective. */
ef_status ef_tune(ef_run *run, const ef_tuning *tuning, ef_tuned *tuned);
void ef_tuned_free(ef_tuned *tuned);

/* The part that a finished tuning with another unit than EF_UNIT_TUNE has left. Pure. */
ef_part_key ef_tuning_part(const ef_tuning *tuning);
