/* Forward of the view-aligned attention, step by step as in deepfusion.md section 6.1, and the loss. */
#include "fusion/vaa_internal.h"

#include <string.h>

static const float NORM_EPS = 1e-5f;

const float *ef_vaa_patches(const ef_vaa *vaa, const float *tap) {
  if (!vaa->padded) return tap;
  size_t real = vaa->T * vaa->shape.student, all = vaa->P * vaa->shape.s * vaa->shape.student;
  for (size_t b = 0; b < vaa->B; b++) {
    memcpy(vaa->padded + b * all, tap + b * real, real * sizeof *tap);
    memset(vaa->padded + b * all + real, 0, (all - real) * sizeof *tap);
  }
  return vaa->padded;
}

void ef_vaa_by_sequence(const ef_vaa *vaa, float *sequences) {
  size_t part = vaa->P * vaa->shape.d, J = vaa->shape.J;
  for (size_t j = 0; j < J; j++) {
    for (size_t b = 0; b < vaa->B; b++)
      memcpy(sequences + (b * J + j) * part, vaa->stages + (j * vaa->B + b) * part, part * sizeof *sequences);
  }
}

void ef_vaa_by_stage(const ef_vaa *vaa, const float *sequences) {
  size_t part = vaa->P * vaa->shape.d, J = vaa->shape.J;
  for (size_t j = 0; j < J; j++) {
    for (size_t b = 0; b < vaa->B; b++)
      memcpy(vaa->stages + (j * vaa->B + b) * part, sequences + (b * J + j) * part, part * sizeof *sequences);
  }
}

static const float *tensor(const ef_vaa *vaa, ef_vaa_role role, size_t j) {
  return vaa->block + ef_vaa_at(vaa, role, j);
}

/* Steps 2 and 3: x = C_j(F_j) + pos + st. */
static void embed(const ef_vaa *vaa, const float *const *student) {
  size_t d = vaa->shape.d, in = vaa->shape.s * vaa->shape.student, part = vaa->N * d;
  for (size_t j = 0; j < vaa->shape.J; j++) {
    float *x = vaa->stages + j * part;
    vaa->k->matmul(0, 1, vaa->N, d, in, ef_vaa_patches(vaa, student[j]), in, tensor(vaa, EF_VAA_PATCH_W, j),
                   in, 0.0f, x, d);
    vaa->k->bias_add(vaa->N, d, tensor(vaa, EF_VAA_PATCH_B, j), x, d);
    vaa->k->bias_add(vaa->N, d, tensor(vaa, EF_VAA_STAGE, 0) + j * d, x, d);
    for (size_t b = 0; b < vaa->B; b++)
      vaa->k->add(vaa->P * d, tensor(vaa, EF_VAA_POSITION, 0), x + b * vaa->P * d);
  }
  ef_vaa_by_sequence(vaa, vaa->x);
}

/* Steps 3 and 4: the normed patches, and their queries, keys and values. */
static void project(const ef_vaa *vaa) {
  size_t d = vaa->shape.d, rows = vaa->B * vaa->Q;
  vaa->k->layernorm(rows, d, NORM_EPS, vaa->x, tensor(vaa, EF_VAA_NORM_W, 0), tensor(vaa, EF_VAA_NORM_B, 0),
                    vaa->z, vaa->mean, vaa->rstd);
  if (!vaa->shape.mlp)
    vaa->k->matmul(0, 1, rows, 3 * d, d, vaa->z, d, tensor(vaa, EF_VAA_MIX_W, 0), d, 0.0f, vaa->qkv, 3 * d);
}

/* Step 4: the mixed patches, by stage. */
static void mix(const ef_vaa *vaa) {
  if (vaa->shape.mlp) {
    ef_vaa_mlp(vaa);
  } else {
    ef_vaa_attention(vaa);
  }
  ef_vaa_by_stage(vaa, vaa->y);
}

static const float *target_of(const ef_vaa *vaa, const float *teacher) {
  return ef_target_of(&vaa->target, vaa->k, vaa->B * vaa->T, vaa->shape.teacher, teacher);
}

/* error += c_j - target on real tokens, 0 on padding. */
static void subtract_target(const ef_vaa *vaa, const float *bias, const float *target) {
  size_t width = vaa->shape.s * vaa->shape.teacher, real = vaa->T * vaa->shape.teacher;
  for (size_t b = 0; b < vaa->B; b++) {
    for (size_t p = 0; p < vaa->P; p++) {
      float *e = vaa->error + (b * vaa->P + p) * width;
      const float *t = target + b * real + p * width;
      size_t left = real - p * width, n = left < width ? left : width;
#pragma omp simd
      for (size_t i = 0; i < n; i++) e[i] += bias[i] - t[i];
      memset(e + n, 0, (width - n) * sizeof *e);
    }
  }
}

/* Steps 5 and 6 of stage j: leaves F' - N(F^T) in vaa->error and returns its mean square. */
static double stage_loss(const ef_vaa *vaa, size_t j, const float *teacher) {
  size_t d = vaa->shape.d, out = vaa->shape.s * vaa->shape.teacher;
  vaa->k->matmul(0, 1, vaa->N, out, d, vaa->stages + j * vaa->N * d, d, tensor(vaa, EF_VAA_OUT_W, j), d, 0.0f,
                 vaa->error, out);
  subtract_target(vaa, tensor(vaa, EF_VAA_OUT_B, j), target_of(vaa, teacher));
  return vaa->k->sum_squares(vaa->N * out, vaa->error) / (double)(vaa->B * vaa->T * vaa->shape.teacher);
}

/* Gradients of R_j and c_j; dY_j replaces Y_j in `stages`. */
static void stage_backward(const ef_vaa *vaa, size_t j, float scale, float *grads) {
  size_t d = vaa->shape.d, out = vaa->shape.s * vaa->shape.teacher;
  float *y = vaa->stages + j * vaa->N * d;
  double count = (double)(vaa->B * vaa->T * vaa->shape.teacher);
  vaa->k->scale(vaa->N * out, (float)(2.0 * (double)scale / count), vaa->error);
  vaa->k->bias_backward(vaa->N, out, vaa->error, out, grads + ef_vaa_at(vaa, EF_VAA_OUT_B, j));
  vaa->k->matmul(1, 0, out, d, vaa->N, vaa->error, out, y, d, 1.0f, grads + ef_vaa_at(vaa, EF_VAA_OUT_W, j),
                 d);
  vaa->k->matmul(0, 0, vaa->N, d, out, vaa->error, out, tensor(vaa, EF_VAA_OUT_W, j), d, 0.0f, y, d);
}

double ef_vaa_loss(ef_vaa *vaa, const float *const *student, const float *const *teacher, float scale,
                   float *grads, float *const *dtaps) {
  double loss = 0.0;
  embed(vaa, student);
  project(vaa);
  mix(vaa);
  for (size_t j = 0; j < vaa->shape.J; j++) {
    loss += stage_loss(vaa, j, teacher[j]);
    if (grads) stage_backward(vaa, j, scale, grads);
  }
  if (grads) ef_vaa_backward(vaa, student, grads, dtaps);
  return loss;
}

void ef_vaa_mass(ef_vaa *vaa, const float *const *student, double *mass) {
  embed(vaa, student);
  project(vaa);
  ef_vaa_attention_mass(vaa, mass);
}
