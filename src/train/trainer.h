/* Training of one dense model on one rank: the unit of work of pretraining, of the devices and of
 * distillation.
 *
 * A trainer holds gradients, moments and activations of one model and walks its steps; between steps its
 * whole state can be written to a file and read back, and the run goes on with the same bits. Nothing is
 * allocated inside a step.
 */
#pragma once

#include "model/loss.h"
#include "train/evaluate.h"
#include "train/history.h"
#include "train/schedule.h"
#include "train/source.h"

typedef struct ef_recipe {
  size_t steps, batch, context; /* optimiser steps; windows of a step; tokens of a window */
  double lr, min_lr, decay, clip;
  size_t warmup;
  /* Selection: every `look_every` steps the loss on `holdout` is measured and the best parameters are kept;
   * after `patience` looks without gain training ends (0: never). holdout NULL or too short: the last step is
   * kept. */
  const ef_stream *holdout;
  size_t look_every, patience, look_windows;
  bool soft; /* windows of source.generated have no cross-entropy, only what the objective adds */
} ef_recipe;

/* What a loss on features sees of a step: the student after its forward pass and its own loss, the labels,
 * and the places of gradients. All borrowed. */
typedef struct ef_lesson {
  ef_pass *pass;          /* the student's; its scratch may be used, its activations stay */
  const ef_model *model;  /* the student */
  const int32_t *targets; /* (B,T) */
  float mean;             /* 1 / number of counted tokens */
  float *grads;           /* of the model, += */
  float *extra_grads;     /* of the extra block, +=; NULL: the value alone is wanted, no gradient */
} ef_lesson;

/* What is added to plain cross-entropy. begin: called before the loss of a batch; may set the teacher and
 * weights of `spec`. features: adds a loss on the student's residual stream, adds its gradients, sets the
 * taps that enter the backward pass, returns the loss. Either may be NULL. */
typedef struct ef_objective {
  void *ctx;
  ef_status (*begin)(void *ctx, const int32_t *ids, size_t B, size_t T, ef_loss_spec *spec);
  double (*features)(void *ctx, const ef_lesson *lesson, ef_taps *taps);
  float *extra; /* parameters trained beside the model (view-aligned attention), or NULL */
  size_t extra_count;
  float extra_lr; /* their learning rate as a multiple of the model's */
} ef_objective;

typedef struct ef_trainer {
  ef_model *model; /* borrowed: the parameters that are trained */
  const ef_kernels *kernels;
  ef_recipe recipe;
  ef_source source;
  ef_objective objective;
  ef_arena arena; /* owns the arrays below */
  float *grads, *m, *v, *best;
  float *extra_grads, *extra_m, *extra_v;
  float *dfinal;
  int32_t *ids, *targets, *labels; /* labels: NULL unless recipe.soft */
  ef_pass *pass;
  ef_evaluator evaluator;
  ef_history history;
  size_t step;      /* steps done */
  size_t restored;  /* of those, done before this start of the program */
  size_t best_step; /* 0: none */
  double best_loss;
  size_t stale; /* looks since the best */
  bool ended;   /* by steps or by patience; the kept parameters are in the model */
} ef_trainer;

/* EF_MACHINE. Local. */
ef_status ef_trainer_create(ef_model *model, const ef_kernels *kernels, const ef_recipe *recipe,
                            const ef_source *source, const ef_objective *objective, ef_trainer *trainer);
void ef_trainer_free(ef_trainer *trainer);

/* Bytes of a trainer beside the model: gradients, moments, best copy, activations. Only dims and table of
 * `model` are read: its parameters need not be there. For plans. Local. */
size_t ef_trainer_bytes(const ef_model *model, const ef_recipe *recipe, size_t extra);

/* One optimiser step; at the last one (or when patience ends) the kept parameters are put into the model and
 * `ended` is set. EF_NUMBERS if a loss or gradient is not finite: the message names the step. Local. */
ef_status ef_trainer_step(ef_trainer *trainer);

/* Optimiser steps taken and tokens they saw. */
size_t ef_trainer_tokens(const ef_trainer *trainer);
