/* View-Aligned Attention (DeepFusion Eqs. 7 to 9; deepfusion.md section 6.1): the feature-matching loss of
 * phase II.
 *
 * The student's residual stream after J stages is cut into patches, projected by a convolution to width d,
 * given position and stage vectors, layer-normed, mixed by multi-head self-attention over the patches of all
 * stages, divided again and projected to the teacher's width; the loss is the mean square distance to the
 * (layer-normed) teacher stages. Parameters live in one block (vaa_internal.h names its tensors), trained
 * beside the student and thrown away after phase II.
 */
#pragma once

#include "base/status.h"
#include "kernels/kernels.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ef_vaa_shape {
  size_t student, teacher; /* D_S, D_T */
  size_t J, s, d, heads;   /* stages, tokens of a patch, width, heads */
  bool causal;             /* patch p attends to p' <= p of every stage; else to all (literal Eq. 8) */
  bool normed;             /* teacher stage through a parameter-free LayerNorm (eps 1e-5); else identity */
  bool own_stage;          /* a patch attends to its own stage only: the ablation without cross-stage view */
  bool mlp; /* an MLP of as many parameters instead of attention: W_2 gelu(W_1 Z), patch by patch */
} ef_vaa_shape;

typedef struct ef_vaa ef_vaa; /* opaque: vaa_internal.h */

/* The residual of a network of L blocks that stage j = 1..J taps: ceil(j*L/J) (ef_pass_residual). Pure. */
size_t ef_vaa_tap(size_t L, size_t J, size_t j);

/* For batches (B,T); T is padded to a multiple of s inside. Parameters are zero until ef_vaa_init. EF_DECK if
 * a size is 0 or d % heads != 0. EF_MACHINE. Local. */
ef_status ef_vaa_create(const ef_vaa_shape *shape, const ef_kernels *kernels, size_t B, size_t T,
                        ef_vaa **vaa);
void ef_vaa_free(ef_vaa *vaa); /* NULL is accepted */

/* What ef_vaa_create takes, and the floats of its block. For plans. Local. */
size_t ef_vaa_bytes(const ef_vaa_shape *shape, size_t B, size_t T, size_t *params);

/* Floats of the block: with P = ceil(T/s) patches of a stage,
 * J*(s*D_S*d + d + s*d*D_T + s*D_T) + P*d + J*d + 2*d + 3*d^2; with an MLP and an odd d, d less. Local. */
size_t ef_vaa_params(const ef_vaa *vaa);
float *ef_vaa_block(ef_vaa *vaa); /* owned by the vaa */

/* Initial values; tensor i draws from the stream (seed, EF_RNG_INIT, unit, i): products N(0, 1/fan-in),
 * position and stage vectors N(0, 0.02^2), norm 1, biases 0. Local. */
void ef_vaa_init(ef_vaa *vaa, uint64_t seed, uint64_t unit);

/* L_FM for student taps and teacher taps (J pointers each, (B,T,D_S) and (B,T,D_T)): returns the sum over
 * stages of the mean over B*T*D_T (Eq. 9). With grads (params) the gradients of scale * L_FM: grads +=,
 * dtaps[j] (B,T,D_S) overwritten. grads NULL: the value alone, dtaps is not read. The teacher gets no
 * gradient. Local. */
double ef_vaa_loss(ef_vaa *vaa, const float *const *student, const float *const *teacher, float scale,
                   float *grads, float *const *dtaps);

/* Attention mass (J,J): row j is the mean over sequences, heads and patches of stage j of the weight that
 * they put on the patches of each stage of the student; rows sum to 1. Not with an MLP. Local. */
void ef_vaa_mass(ef_vaa *vaa, const float *const *student, double *mass);
