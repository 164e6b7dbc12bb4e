/* Attention over the patches of all stages (Eq. 8), one sequence and head after another: every product is one
 * call, and the weights of one head stay in cache.
 */
#include "fusion/vaa_internal.h"

#include <math.h>

/* Rows of one head: query, key and value of sequence b lie in (Q,3d), the output in (Q,d). */
typedef struct head {
  size_t width, qkv_row;   /* d/heads, 3d */
  const float *q, *k, *v;  /* (Q,width; qkv_row) */
  float *dq, *dk, *dv, *y; /* likewise; y (Q,width; d) */
} head;

static head head_of(const ef_vaa *vaa, size_t b, size_t i) {
  size_t d = vaa->shape.d, width = d / vaa->shape.heads, at = b * vaa->Q * 3 * d + i * width;
  const float *qkv = vaa->qkv + at;
  float *dqkv = vaa->dqkv + at;
  return (head){.width = width,
                .qkv_row = 3 * d,
                .q = qkv,
                .k = qkv + d,
                .v = qkv + 2 * d,
                .dq = dqkv,
                .dk = dqkv + d,
                .dv = dqkv + 2 * d,
                .y = vaa->y + b * vaa->Q * d + i * width};
}

/* score = softmax(scale * q k^T + mask), by the router's kernel: a softmax of rows is its first step. */
static void weigh(const ef_vaa *vaa, const head *h) {
  size_t Q = vaa->Q;
  float scale = 1.0f / sqrtf((float)h->width);
  float *score = vaa->score, *logits = vaa->dscore;
  const float *mask = vaa->mask;
  vaa->k->matmul(0, 1, Q, Q, h->width, h->q, h->qkv_row, h->k, h->qkv_row, 0.0f, logits, Q);
#pragma omp simd
  for (size_t i = 0; i < Q * Q; i++) logits[i] = scale * logits[i] + mask[i];
  vaa->k->router(Q, Q, 1, 0, 0.0f, logits, score, vaa->choice, vaa->weight);
}

void ef_vaa_attention(const ef_vaa *vaa) {
  for (size_t b = 0; b < vaa->B; b++) {
    for (size_t i = 0; i < vaa->shape.heads; i++) {
      head h = head_of(vaa, b, i);
      weigh(vaa, &h);
      vaa->k->matmul(0, 0, vaa->Q, h.width, vaa->Q, vaa->score, vaa->Q, h.v, h.qkv_row, 0.0f, h.y,
                     vaa->shape.d);
    }
  }
}

/* dscore becomes the gradient by q k^T: scale * A * (dA - sum(A * dA)), row by row. */
static void softmax_backward(const ef_vaa *vaa, float scale) {
  size_t Q = vaa->Q;
  for (size_t r = 0; r < Q; r++) {
    const float *a = vaa->score + r * Q;
    float *da = vaa->dscore + r * Q, sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < Q; i++) sum += a[i] * da[i];
#pragma omp simd
    for (size_t i = 0; i < Q; i++) da[i] = scale * a[i] * (da[i] - sum);
  }
}

static void head_backward(const ef_vaa *vaa, const head *h) {
  size_t Q = vaa->Q, d = vaa->shape.d, row = h->qkv_row;
  const ef_kernels *k = vaa->k;
  weigh(vaa, h);
  k->matmul(1, 0, Q, h->width, Q, vaa->score, Q, h->y, d, 0.0f, h->dv, row);
  k->matmul(0, 1, Q, Q, h->width, h->y, d, h->v, row, 0.0f, vaa->dscore, Q);
  softmax_backward(vaa, 1.0f / sqrtf((float)h->width));
  k->matmul(0, 0, Q, h->width, Q, vaa->dscore, Q, h->k, row, 0.0f, h->dq, row);
  k->matmul(1, 0, Q, h->width, Q, vaa->dscore, Q, h->q, row, 0.0f, h->dk, row);
}

void ef_vaa_attention_backward(const ef_vaa *vaa) {
  for (size_t b = 0; b < vaa->B; b++) {
    for (size_t i = 0; i < vaa->shape.heads; i++) {
      head h = head_of(vaa, b, i);
      head_backward(vaa, &h);
    }
  }
}

void ef_vaa_attention_mass(const ef_vaa *vaa, double *mass) {
  size_t J = vaa->shape.J, P = vaa->P, Q = vaa->Q;
  double share = 1.0 / (double)(vaa->B * vaa->shape.heads * P);
  for (size_t i = 0; i < J * J; i++) mass[i] = 0.0;
  for (size_t b = 0; b < vaa->B; b++) {
    for (size_t i = 0; i < vaa->shape.heads; i++) {
      head h = head_of(vaa, b, i);
      weigh(vaa, &h);
      for (size_t at = 0; at < Q * Q; at++)
        mass[at / Q / P * J + at % Q / P] += share * (double)vaa->score[at];
    }
  }
}
