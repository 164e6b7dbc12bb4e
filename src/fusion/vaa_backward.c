/* Backward of steps 4 to 2: attention, norm, embedding. Every stage's tap receives from every stage's loss.
 */
#include "fusion/vaa_internal.h"

#include <string.h>

/* dy -> dz, both in vaa->y. */
static void attention_backward(const ef_vaa *vaa, float *grads) {
  size_t d = vaa->shape.d, rows = vaa->B * vaa->Q, at = ef_vaa_at(vaa, EF_VAA_MIX_W, 0);
  ef_vaa_attention_backward(vaa);
  vaa->k->matmul(1, 0, 3 * d, d, rows, vaa->dqkv, 3 * d, vaa->z, d, 1.0f, grads + at, d);
  vaa->k->matmul(0, 0, rows, d, 3 * d, vaa->dqkv, 3 * d, vaa->block + at, d, 0.0f, vaa->y, d);
}

/* dy (by sequence) -> dx, in vaa->z. */
static void mix_backward(const ef_vaa *vaa, float *grads) {
  size_t d = vaa->shape.d, rows = vaa->B * vaa->Q;
  if (vaa->shape.mlp) {
    ef_vaa_mlp_backward(vaa, grads);
  } else {
    attention_backward(vaa, grads);
  }
  memset(vaa->z, 0, rows * d * sizeof *vaa->z);
  vaa->k->layernorm_backward(rows, d, vaa->y, vaa->x, vaa->block + ef_vaa_at(vaa, EF_VAA_NORM_W, 0),
                             vaa->mean, vaa->rstd, vaa->z, grads + ef_vaa_at(vaa, EF_VAA_NORM_W, 0),
                             grads + ef_vaa_at(vaa, EF_VAA_NORM_B, 0));
}

/* dtap (B,T,D_S) = dx (N,d) W_j, cut to the real tokens. */
static void tap_backward(const ef_vaa *vaa, size_t j, const float *dx, float *dtap) {
  size_t d = vaa->shape.d, in = vaa->shape.s * vaa->shape.student;
  size_t real = vaa->T * vaa->shape.student, all = vaa->P * in;
  float *whole = vaa->padded ? vaa->padded : dtap;
  vaa->k->matmul(0, 0, vaa->N, in, d, dx, d, vaa->block + ef_vaa_at(vaa, EF_VAA_PATCH_W, j), in, 0.0f, whole,
                 in);
  if (!vaa->padded) return;
  for (size_t b = 0; b < vaa->B; b++) memcpy(dtap + b * real, whole + b * all, real * sizeof *dtap);
}

void ef_vaa_backward(const ef_vaa *vaa, const float *const *student, float *grads, float *const *dtaps) {
  size_t d = vaa->shape.d, in = vaa->shape.s * vaa->shape.student;
  ef_vaa_by_sequence(vaa, vaa->y);
  mix_backward(vaa, grads);
  ef_vaa_by_stage(vaa, vaa->z);
  for (size_t j = 0; j < vaa->shape.J; j++) {
    const float *dx = vaa->stages + j * vaa->N * d;
    vaa->k->bias_backward(vaa->N, d, dx, d, grads + ef_vaa_at(vaa, EF_VAA_PATCH_B, j));
    vaa->k->bias_backward(vaa->N, d, dx, d, grads + ef_vaa_at(vaa, EF_VAA_STAGE, 0) + j * d);
    for (size_t b = 0; b < vaa->B; b++)
      vaa->k->add(vaa->P * d, dx + b * vaa->P * d, grads + ef_vaa_at(vaa, EF_VAA_POSITION, 0));
    vaa->k->matmul(1, 0, d, in, vaa->N, dx, d, ef_vaa_patches(vaa, student[j]), in, 1.0f,
                   grads + ef_vaa_at(vaa, EF_VAA_PATCH_W, j), in);
    tap_backward(vaa, j, dx, dtaps[j]);
  }
}
