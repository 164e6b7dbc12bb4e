/* One optimiser step of a model over ranks: the same code trains the global MoE, a device's model on one rank
 * (ef_par_alone) and the benchmark.
 *
 * A step is M micro-batches of (B,T) tokens; rank r runs the block ef_block_first(M, size, r) .. of them, one
 * in each slot. Shared tensors are replicated, routed experts are spread (step/exchange.h); gradients are
 * summed by the fixed tree over micro-batches, clipped by their global norm, and AdamW is applied. Parameters
 * and metrics have the same bits on any number of ranks. After the first step nothing is allocated.
 */
#pragma once

#include "model/loss.h"
#include "model/model.h"
#include "par/par.h"
#include "step/exchange.h"

typedef struct ef_step ef_step; /* opaque */

typedef struct ef_step_shape {
  size_t B, T, M;     /* sequences and tokens of a micro-batch, micro-batches of a step */
  bool train_experts; /* false: the routed experts are frozen */
} ef_step_shape;

/* Where micro-batches come from: writes ids (B,T) and targets (B,T; already shifted, EF_IGNORE allowed) of
 * micro-batch `micro` in 0 .. M-1, and makes the teacher ready for that batch if there is one. Called on the
 * rank that runs it. */
typedef struct ef_batches {
  void *ctx;
  ef_status (*batch)(void *ctx, size_t micro, int32_t *ids, int32_t *targets);
} ef_batches;

/* Settings of one step. The scales are those of ef_loss_spec, over all M micro-batches (1 / counted tokens of
 * the step). */
typedef struct ef_step_spec {
  float ce_scale, kl_scale, tau;
  size_t top_k;
  const ef_teacher *teacher; /* NULL: none */
  const int32_t *labels;     /* (B,T) of the micro-batch, filled with it; as in ef_loss_spec */
  /* (exits of the model) weight of the mean CE at each early exit, as a multiple of ce_scale; NULL: the exits
   * are not trained. */
  const float *exit_weights;
  ef_adamw adamw; /* grad_scale is set here; step counts from 1 */
  double clip;    /* largest global norm of the gradient; 0: no clipping */
} ef_step_spec;

/* Sums over all micro-batches, the same on all ranks. */
typedef struct ef_step_result {
  ef_loss_sums loss;
  double aux;            /* weighted auxiliary loss, mean over micro-batches */
  double grad_norm;      /* global norm before clipping */
  const double *exit_ce; /* (exits) sums of the CE over the counted rows, of the step until its next run; NULL
                            if the exits were not trained */
} ef_step_result;

/* For the shard `model` (step/shard.h; the whole model on one rank), which must outlive the step. EF_MACHINE;
 * EF_INPUT if T is above max_positions. Collective. */
ef_status ef_step_create(ef_par *par, const ef_kernels *kernels, ef_model *model, const ef_step_shape *shape,
                         ef_step **step);
void ef_step_free(ef_step *step);

/* One step: model->params and the moments change. EF_NUMBERS on all ranks, with parameters and moments
 * untouched, when a loss or a gradient is not finite; a failing batch fails on all ranks. Collective. */
ef_status ef_step_run(ef_step *step, const ef_batches *batches, const ef_step_spec *spec,
                      ef_step_result *result);

/* The moments of AdamW, zero at first: *floats of each, with the layout of model->params (without the experts
 * when those are frozen). Owned by the step; written by a restart, read by a checkpoint. Local. */
void ef_step_moments(ef_step *step, float **m, float **v, size_t *floats);
