/* Phase III, second half: the merged model is trained on public text by all ranks together, experts spread
 * over them.
 *
 * The paper's recipe trains all but the routed experts by cross-entropy; the extended one trains the experts
 * too and adds KL to the proxies. The control "public only" is the same training of a model that no device
 * has shaped. Early exits are trained with the rest: each adds its weighted cross-entropy to the loss. The
 * step with the least loss on the public holdout is kept.
 */
#pragma once

#include "fusion/merged.h"
#include "train/unit.h"

typedef struct ef_tuning {
  ef_unit_kind unit; /* EF_UNIT_TUNE or EF_UNIT_PUBLIC_ONLY */
  ef_merge_of start;
  size_t steps;
  double kl; /* weight of the KL loss to the proxies; 0: none */
  bool train_experts;
  const char *name;     /* of the phase */
  const char *sections; /* of the deck that the result depends on */
} ef_tuning;

/* What came out, the same on all ranks. */
typedef struct ef_tuned {
  size_t steps, kept;         /* optimiser steps; the one kept */
  double start_loss, loss;    /* on the public holdout, nat per token: before, and of the kept step */
  ef_quality *before, *after; /* (domains) validation; owned */
  size_t *load;               /* (MoE layers, E) tokens of the holdout that each expert received; owned */
} ef_tuned;

/* Trains to the end, saves on the way, measures before and after. With EF_UNIT_TUNE the states are the run's
 * checkpoints and the last one is its result; otherwise a part. EF_STOPPED, EF_NUMBERS (the last good
 * checkpoint is named). Collective. */
ef_status ef_tune(ef_run *run, const ef_tuning *tuning, const ef_population *population,
                  const ef_clusters *clusters, const ef_bases *bases, ef_tuned *tuned);
void ef_tuned_free(ef_tuned *tuned);
