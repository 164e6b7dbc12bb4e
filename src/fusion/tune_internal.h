/* The state of a tuning under way; tune.c walks it, tune_file.c saves and restores it.
 */
#pragma once

#include "fusion/tune.h"
#include "step/step.h"
#include "train/checkpoint.h"
#include "train/history.h"
#include "train/model_file.h"
#include "train/part.h"
#include "train/spread.h"
#include <math.h>

typedef struct ef_tuner {
  ef_run *run;
  const ef_tuning *tuning;
  ef_part_key key;
  ef_model shard;         /* parameters of this rank */
  ef_model_source source; /* config and tokenizer for the files */
  ef_step *step_engine;
  ef_spread spread;
  ef_history history;
  float *exit_weights; /* (early exits of the model) */
  float *best;         /* (shard.table.floats) parameters of the kept step */
  float *average;      /* (shard.table.floats) running average of the parameters; NULL: none */
  size_t B, T;         /* of a micro-batch */
  size_t steps, step, restored, best_step;
  double best_loss; /* INFINITY: none is kept so far */
  bool finished;    /* restored from a state that was complete */
  ef_tuned *tuned;
} ef_tuner;

static inline bool ef_tuner_has_best(const ef_tuner *t) { return t->best_loss < INFINITY; }

/* Saves the state: a checkpoint of the run, or the partial state of the control. `done`: training is over,
 * the kept parameters are the model, and the measurements go with it. Collective. */
ef_status ef_tuner_save(ef_tuner *t, bool done);

/* Brings back the newest state of this unit, if there is one. Collective. */
ef_status ef_tuner_restore(ef_tuner *t);
