/* The loss on features of phase II behind one interface: view-aligned attention, and what the ablations put
 * in its place (deepfusion.md section 6.4).
 *
 * Settings of the deck's section fusion that make each ablation:
 * - A0, CE alone: alpha 0, beta 0.
 * - A1, CE and KL: features none (or alpha 0).
 * - A2, stage-wise linear hints, F_j^S H_j^T + c_j -> F_j^T, no view of other stages: features hints.
 * - A3, the method: features vaa.
 * - A4, without KL: beta 0.
 * - A5, OFA-KD: features ofa. alpha weighs the sum over the branches, beta the final logits, where OFA's loss
 *   stands in the place of KL; fusion.ofa_epsilon is the exponent (1: soft labels).
 * - A6, own-stage (block-diagonal) attention: features own_stage.
 * - A7, attention replaced, patch by patch, by an MLP of as many parameters: features mlp.
 * - A8, order of stages: teacher_stages reversed or shuffled; stages 1, 2, 4.
 * - A9, homogeneous: A1 to A3 with federation.families of the bases' own family (qwen2 under qwen2_moe, llama
 *   under deepseek_moe).
 */
#pragma once

#include "deck/deck.h"
#include "fusion/ofa.h"
#include "fusion/vaa.h"

enum { EF_MOST_STAGES = 64 }; /* the deck's own bound on fusion.stages */

typedef enum ef_features_kind {
  EF_FEATURES_NONE,
  EF_FEATURES_VAA, /* and its variants: ef_vaa_shape */
  EF_FEATURES_HINTS,
  EF_FEATURES_OFA
} ef_features_kind;

typedef struct ef_features_spec {
  ef_features_kind kind;
  ef_vaa_shape shape; /* hints: only widths, J and `normed` count; ofa: only J */
  ef_ofa_shape ofa;   /* ofa alone */
} ef_features_spec;

typedef struct ef_features {
  void *state;   /* owned; NULL: no loss on features, and all below is empty */
  float *params; /* (count) owned by state */
  size_t count;
  /* The loss and its gradients: ef_vaa_loss, ef_hints_loss, ef_ofa_loss. */
  double (*loss)(void *state, const ef_comparison *comparison);
  /* As ef_vaa_mass; NULL where there is no attention. */
  void (*mass)(void *state, const float *const *student, double *mass);
  void (*init)(void *state, uint64_t seed, uint64_t unit);
  void (*release)(void *state);
} ef_features;

/* What the deck asks for; kind none if fusion.alpha is 0. Widths of the residual streams. Local. */
ef_features_spec ef_features_of(const ef_deck *deck, size_t student, size_t teacher);
bool ef_features_ofa(const ef_deck *deck);             /* the final logits learn by OFA's loss too. Pure. */
bool ef_features_attend(const ef_features_spec *spec); /* there is attention, so `mass` is there. Pure. */

/* For batches (B,T), with first values of the streams (seed, EF_RNG_INIT, unit, tensor). EF_DECK, EF_MACHINE.
 * Local. */
ef_status ef_features_create(const ef_features_spec *spec, const ef_kernels *kernels, size_t B, size_t T,
                             uint64_t seed, uint64_t unit, ef_features *features);
void ef_features_free(ef_features *features);

/* Bytes that ef_features_create takes, and floats of the parameters. For plans. Local. */
void ef_features_size(const ef_features_spec *spec, size_t B, size_t T, size_t *bytes, size_t *params);

/* Teacher stage (from 0) that stage j of the student is compared with: `order` (J) becomes a permutation.
 * "ordered": j; "reversed": J-1-j; "shuffled": one cycle of all stages drawn from the seed (Sattolo), so that
 * no stage stays. Local. */
void ef_features_order(const char *rule, uint64_t seed, size_t J, size_t *order);
