/* A model: dims, table and one block of parameters; and a pass: the activations of one batch.
 *
 * The transformer is the same code for training, evaluation and generation. A pass is placed once for (B, T)
 * and reused: nothing is allocated between ef_pass_create and ef_pass_free.
 */
#pragma once

#include "base/arena.h"
#include "kernels/kernels.h"
#include "model/dims.h"
#include "model/table.h"

typedef struct ef_model {
  ef_dims dims;
  ef_table table;
  float *params; /* (table.floats), owned */
} ef_model;

/* All experts that these dims store, parameters zero. EF_MACHINE. Local. */
ef_status ef_model_create(const ef_dims *dims, ef_model *model);
/* A shard: all shared tensors, and experts [first, first+count) of every MoE layer. Local. */
ef_status ef_model_create_shard(const ef_dims *dims, size_t first, size_t count, ef_model *model);
void ef_model_free(ef_model *model);

/* Initial parameters (models.md, "Initialisation"); tensor i of the global table draws from the stream
 * (seed, EF_RNG_INIT, unit, i): the same on every shard. Local. */
void ef_model_init(ef_model *model, uint64_t seed, uint64_t unit);

/* Parameters of the tensor, or NULL if there is none or it is not held. Local. */
float *ef_model_tensor(const ef_model *model, ef_role role, int layer, int expert);

/* ---- routed experts ----------------------------------------------------------------------------------- */

/* Who computes the routed experts. The default computes all of them here, one product per expert and
 * projection; step/exchange.h sends tokens to the rank that holds the expert. `layer` is the absolute layer.
 * forward:  ys (rows,D) = expert(xs) for rows sorted by expert, count (E) rows each (0 if it is not held).
 * backward: dxs (rows,D) overwritten; gradients of the experts += into `grads` (the block of gradients with
 * the layout of the model's table). forward may keep what backward of the same layer needs; layers run
 * forward 0..L-1 and backward L-1..0. Both are collective if the implementation is. */
typedef struct ef_experts {
  void *ctx;
  ef_status (*forward)(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs, float *ys);
  ef_status (*backward)(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                        const float *dys, float *dxs);
} ef_experts;

/* One expert's FFN on n rows, the unit of work of every implementation: gate_up (2Fe,D), down (D,Fe);
 * gu (n,2Fe) and act (n,Fe) are kept for backward. Local. */
void ef_expert_forward(const ef_kernels *k, size_t n, size_t D, size_t Fe, const float *gate_up,
                       const float *down, const float *xs, float *gu, float *act, float *ys);
/* dgate_up, ddown += (may be NULL: frozen expert); dxs overwritten; dgu (n,2Fe) and dact (n,Fe) are scratch.
 */
void ef_expert_backward(const ef_kernels *k, size_t n, size_t D, size_t Fe, const float *gate_up,
                        const float *down, const float *xs, const float *gu, const float *act,
                        const float *dys, float *dgate_up, float *ddown, float *dxs, float *dgu, float *dact);

/* ---- a pass ------------------------------------------------------------------------------------------- */

typedef struct ef_pass ef_pass; /* opaque: model/pass_internal.h */

typedef enum ef_pass_kind {
  EF_PASS_EVAL,  /* forward only: activations of one layer at a time (residuals of all layers if
                    keep_residuals) */
  EF_PASS_TRAIN, /* forward and backward: O(L*B*T*D) */
  EF_PASS_CACHE  /* generation: key-value cache for max T positions */
} ef_pass_kind;

/* Places a pass for up to B sequences of up to T tokens of models with these dims. `experts` NULL: computed
 * here. Owned by the caller, freed by ef_pass_free. The pass works with any model of equal dims: the model is
 * an argument of every call. EF_MACHINE; EF_INPUT if T > max_positions. Local. */
ef_status ef_pass_create(const ef_dims *dims, const ef_kernels *kernels, ef_pass_kind kind, size_t B,
                         size_t T, bool keep_residuals, const ef_experts *experts, ef_pass **pass);
void ef_pass_free(ef_pass *pass);

/* Bytes of the arena that ef_pass_create would take with the blas kernels and all experts computed here,
 * without taking them: for plans. Local. */
size_t ef_pass_bytes(const ef_dims *dims, ef_pass_kind kind, size_t B, size_t T, bool keep_residuals);

/* Runs the transformer on ids (B,T), ids in [0,V), B and T at most those of the pass. Afterwards the normed
 * final hidden states are ready (ef_pass_final). With EF_PASS_CACHE the T new tokens follow those already in
 * the cache. EF_NUMBERS never: non-finite values flow through and are found by the loss. Collective iff
 * `experts` is. */
ef_status ef_forward(ef_pass *pass, const ef_model *model, const int32_t *ids, size_t B, size_t T);

const float *ef_pass_final(const ef_pass *pass);                  /* (B,T,D), after the final norm */
const float *ef_pass_residual(const ef_pass *pass, size_t layer); /* (B,T,D), input of layer `layer`; L:
                                                                     before the final norm. Needs TRAIN or
                                                                      keep_residuals */
/* (B,T,D) the normed input of the FFN and router of layer `layer` in the last forward. TRAIN only. Local. */
const float *ef_pass_ffn_input(const ef_pass *pass, size_t layer);

/* Router of an MoE layer: logits (B*T,E) , probabilities, chosen experts (B*T,K), weights (B*T,K). Kept for
 * every layer in TRAIN, of the last layer run otherwise (NULL for layers not kept). */
typedef struct ef_router_view {
  const float *logits, *probs, *weights;
  const int32_t *experts;
} ef_router_view;
ef_router_view ef_pass_router(const ef_pass *pass, size_t layer);

/* Value of the auxiliary loss of the last forward: raw for POOLED (before aux_coef), with alpha included and
 * summed over layers for DeepSeek, 0 for dense models; and its share of the total loss (weight 1 or
 * aux_coef). Local. */
double ef_pass_aux(const ef_pass *pass);
double ef_pass_aux_weighted(const ef_pass *pass);

/* Tokens that each expert of an MoE layer received in the last forward, (E). Local. */
const size_t *ef_pass_load(const ef_pass *pass, size_t layer);

/* Logits (rows,V) of rows [row, row+rows) of the B*T final hidden states. Local. */
void ef_logits(ef_pass *pass, const ef_model *model, size_t row, size_t rows, float *logits);

/* Extra gradients that enter the backward pass on the residual stream: taps[l] (B,T,D) or NULL is added at
 * the input of layer l (l = L: before the final norm). Used by the view-aligned attention of phase II. */
typedef struct ef_taps {
  const float *const *at; /* (L+1) pointers */
} ef_taps;

/* Backward of the last ef_forward: dfinal (B,T,D) is the gradient of the loss with respect to ef_pass_final,
 * of which the head's own part has been taken by ef_loss. Adds every parameter's gradient into `grads`
 * (table.floats), the auxiliary loss included, times aux_scale (1/number of micro-batches). taps may be NULL.
 * `dfinal` may be overwritten. Collective iff `experts` is. */
ef_status ef_backward(ef_pass *pass, const ef_model *model, float *dfinal, const ef_taps *taps,
                      float aux_scale, float *grads);

/* Empties the cache of an EF_PASS_CACHE pass; tokens now in it. Local. */
void ef_pass_reset(ef_pass *pass);
size_t ef_pass_cached(const ef_pass *pass);
