/* Inside of the view-aligned attention: its tensors and its buffers. Private to src/fusion and its tests.
 *
 * Letters beside those of vaa.h: P patches of a stage, Q = J*P patches of a sequence, N = B*P rows of a
 * stage. Two layouts of the patches are in use: by stage (J,B,P,d), for the products of one stage, and by
 * sequence (B,J,P,d), for attention over all stages.
 */
#pragma once

#include "base/arena.h"
#include "fusion/target.h"
#include "fusion/vaa.h"

/* Tensors of the block, in its order; those of a stage come first, stage by stage. */
typedef enum ef_vaa_role {
  EF_VAA_PATCH_W,  /* (d, s*D_S) of stage j: W_j, the convolution with kernel and stride s */
  EF_VAA_PATCH_B,  /* (d): b_j */
  EF_VAA_OUT_W,    /* (s*D_T, d) of stage j: R_j */
  EF_VAA_OUT_B,    /* (s*D_T): c_j */
  EF_VAA_POSITION, /* (P, d): pos */
  EF_VAA_STAGE_ROLES = EF_VAA_POSITION, /* the roles before it are of a stage */
  EF_VAA_STAGE,                         /* (J, d): st */
  EF_VAA_NORM_W,                        /* (d) */
  EF_VAA_NORM_B,                        /* (d) */
  EF_VAA_MIX_W,     /* (3d, d): W_q, W_k, W_v, heads one behind another in each; MLP: (m, d), W_1 */
  EF_VAA_MIX_OUT_W, /* MLP: (d, m), W_2; else empty */
  EF_VAA_ROLE_COUNT
} ef_vaa_role;

struct ef_vaa {
  ef_vaa_shape shape;
  const ef_kernels *k;
  size_t B, T, P, Q, N;
  size_t offset[EF_VAA_ROLE_COUNT]; /* in the block; for roles of a stage, of stage 0 */
  size_t stage_floats, params;      /* of the tensors of one stage; of the block */
  ef_arena arena;
  float *block;
  float *mask;           /* (Q,Q): 0, or HIDDEN where a row does not see a column; empty with an MLP */
  float *padded;         /* (B, P*s, D_S); NULL when T is a multiple of s */
  float *stages;         /* (J,B,P,d): X_j, later Y_j, dY_j, dX_j */
  float *x, *z, *y;      /* (B,Q,d); in backward z holds dx, y holds dy and then dz */
  float *mean, *rstd;    /* (B*Q) */
  float *qkv, *dqkv;     /* (B,Q,3d) */
  float *score, *dscore; /* (Q,Q) of one head: attention weights, and their gradient */
  int32_t *choice;       /* (Q), not used: the softmax kernel is the router's */
  float *weight;         /* (Q), likewise */
  float *error;          /* (B, P*s, D_T): prediction of a stage, then the gradient of the loss by it */
  ef_target target;
};

/* Sizes, offsets and arena of a vaa; the arena measures while it has no block. Local. */
void ef_vaa_layout(const ef_vaa_shape *shape, size_t B, size_t T, ef_vaa *vaa);

/* The tensor of a role (and of stage j, for roles of a stage) in the block or in a block of gradients. */
static inline size_t ef_vaa_at(const ef_vaa *vaa, ef_vaa_role role, size_t j) {
  return vaa->offset[role] + (role < EF_VAA_STAGE_ROLES ? j * vaa->stage_floats : 0);
}
size_t ef_vaa_count(const ef_vaa *vaa, ef_vaa_role role);

/* Student taps of one stage as (N, s*D_S): the array itself, or its padded copy in vaa->padded. Local. */
const float *ef_vaa_patches(const ef_vaa *vaa, const float *tap);

/* stages (J,B,P,d) -> by sequence (B,J,P,d), and back. Local. */
void ef_vaa_by_sequence(const ef_vaa *vaa, float *sequences);
void ef_vaa_by_stage(const ef_vaa *vaa, const float *sequences);

/* Attention of every sequence and head: y from qkv; and dqkv from qkv and y, which then holds dy. The weights
 * are computed anew, so that memory stays O(Q^2) for any B and number of heads. Local. */
void ef_vaa_attention(const ef_vaa *vaa);
void ef_vaa_attention_backward(const ef_vaa *vaa);
/* The sums behind ef_vaa_mass, from qkv. Local. */
void ef_vaa_attention_mass(const ef_vaa *vaa, double *mass);

/* Inner width m of the MLP: W_1 and W_2 are as large as W_q, W_k and W_v, for an even d exactly. Pure. */
static inline size_t ef_vaa_mlp_width(size_t d) { return 3 * d / 2; }
/* y from z; and dz, in y, from dy in y: grads of W_1 and W_2 +=. Local. */
void ef_vaa_mlp(const ef_vaa *vaa);
void ef_vaa_mlp_backward(const ef_vaa *vaa, float *grads);

/* Gradients from dY in `stages` down to all parameters but R and c, and to the taps. Local. */
void ef_vaa_backward(const ef_vaa *vaa, const float *const *student, float *grads, float *const *dtaps);
