#include "model/ops.h"
#include <math.h>
#include <string.h>

/* Where q, k and v stand in a row of the product: q | k | v, or (bloom) head by head. */
typedef struct layout {
  size_t row, head, k, v; /* columns of a row; between heads; of k and v behind q */
} layout;

static layout layout_of(const ef_dims *d) {
  if (d->by_head) return (layout){.row = 3 * d->D, .head = 3 * d->h, .k = d->h, .v = 2 * d->h};
  return (layout){.row = (d->H + 2 * d->G) * d->h, .head = d->h, .k = d->H * d->h, .v = (d->H + d->G) * d->h};
}

static ef_attention geometry(const ef_pass *s) {
  const ef_dims *d = &s->dims;
  layout f = layout_of(d);
  size_t batch = s->T * f.row;
  return (ef_attention){.B = s->B,
                        .Tq = s->T,
                        .Tk = s->T,
                        .H = d->H,
                        .G = d->G,
                        .h = d->h,
                        .q_batch = batch,
                        .q_row = f.row,
                        .q_head = f.head,
                        .k_batch = batch,
                        .k_row = f.row,
                        .k_head = f.head,
                        .scale = 1.0f / sqrtf((float)d->h),
                        .slopes = d->position == EF_ALIBI ? s->slopes : NULL};
}

static ef_linear qkv_linear(const ef_pass *s, const float *params, int l) {
  const ef_dims *d = &s->dims;
  return (ef_linear){.in = d->D,
                     .out = (d->H + 2 * d->G) * d->h,
                     .conv1d = d->conv1d,
                     .w = ef_weight(&s->at, params, l, d->fused_qkv ? EF_T_QKV_W : EF_T_Q_W),
                     .b = ef_weight(&s->at, params, l, d->fused_qkv ? EF_T_QKV_B : EF_T_Q_B)};
}

static ef_linear out_linear(const ef_pass *s, const float *params, int l) {
  return (ef_linear){.in = s->dims.D,
                     .out = s->dims.D,
                     .conv1d = s->dims.conv1d,
                     .w = ef_weight(&s->at, params, l, EF_T_O_W),
                     .b = ef_weight(&s->at, params, l, EF_T_O_B)};
}

/* q and k heads stand side by side, so one call turns both. */
static void rotate(const ef_pass *s, int direction, float *qkv) {
  const ef_dims *d = &s->dims;
  if (d->position != EF_ROPE) return;
  s->k->rope(s->B * s->T, d->H + d->G, d->h, (d->H + 2 * d->G) * d->h, d->h, s->positions, s->cos, s->sin,
             direction, qkv);
}

/* Copies the new keys and values behind those in the cache. */
static void remember(const ef_pass *s, const float *qkv, float *cache) {
  const ef_dims *d = &s->dims;
  layout f = layout_of(d);
  size_t wide = d->G * d->h;
  for (size_t b = 0; b < s->B; b++) {
    for (size_t t = 0; t < s->T; t++) {
      const float *row = qkv + (b * s->T + t) * f.row;
      float *to = cache + (b * s->max_T + s->cached + t) * 2 * wide;
      for (size_t g = 0; g < d->G; g++) {
        memcpy(to + g * d->h, row + f.k + g * f.head, d->h * sizeof(float));
        memcpy(to + wide + g * d->h, row + f.v + g * f.head, d->h * sizeof(float));
      }
    }
  }
}

static void attend(ef_pass *s, const ef_layer_state *st, size_t l) {
  ef_attention a = geometry(s);
  layout f = layout_of(&s->dims);
  const float *k = st->qkv + f.k, *v = st->qkv + f.v;
  if (s->kind == EF_PASS_CACHE) {
    size_t wide = s->dims.G * s->dims.h;
    remember(s, st->qkv, s->cache[l]);
    k = s->cache[l];
    v = k + wide;
    a.Tk = s->cached + s->T;
    a.k_batch = s->max_T * 2 * wide;
    a.k_row = 2 * wide;
    a.k_head = s->dims.h;
  }
  s->k->attention(&a, st->qkv, k, v, st->att, st->lse, s->scratch.attention);
}

void ef_attention_forward(ef_pass *s, const float *params, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  int l = (int)layer;
  size_t R = s->B * s->T;
  ef_linear qkv = qkv_linear(s, params, l), out = out_linear(s, params, l);
  ef_norm_forward(s, ef_weight(&s->at, params, l, EF_T_NORM1_W), ef_weight(&s->at, params, l, EF_T_NORM1_B),
                  st->x, st->xn1, st->mean1, st->rstd1);
  ef_linear_forward(s->k, &qkv, R, st->xn1, 0.0f, st->qkv);
  rotate(s, 1, st->qkv);
  attend(s, st, layer);
  ef_carry(s, st->x, st->mid);
  ef_linear_forward(s->k, &out, R, st->att, 1.0f, st->mid);
}

void ef_attention_backward(ef_pass *s, const ef_blocks *blocks, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  const ef_scratch *w = &s->scratch;
  const float *params = blocks->params;
  float *grads = blocks->grads;
  int l = (int)layer;
  bool fused = s->dims.fused_qkv;
  size_t R = s->B * s->T;
  layout f = layout_of(&s->dims);
  ef_attention a = geometry(s);
  ef_linear qkv = qkv_linear(s, params, l), out = out_linear(s, params, l);
  ef_linear_backward(s->k, &out, R, st->att, w->dx, ef_gradient(&s->at, grads, l, EF_T_O_W),
                     ef_gradient(&s->at, grads, l, EF_T_O_B), 0.0f, w->datt);
  s->k->attention_backward(&a, st->qkv, st->qkv + f.k, st->qkv + f.v, st->att, st->lse, w->datt, w->dqkv,
                           w->dqkv + f.k, w->dqkv + f.v, w->attention);
  rotate(s, -1, w->dqkv);
  ef_linear_backward(s->k, &qkv, R, st->xn1, w->dqkv,
                     ef_gradient(&s->at, grads, l, fused ? EF_T_QKV_W : EF_T_Q_W),
                     ef_gradient(&s->at, grads, l, fused ? EF_T_QKV_B : EF_T_Q_B), 0.0f, w->dxn);
  ef_norm_backward(s, ef_weight(&s->at, params, l, EF_T_NORM1_W), w->dxn, st->x, st->mean1, st->rstd1, w->dx,
                   ef_gradient(&s->at, grads, l, EF_T_NORM1_W), ef_gradient(&s->at, grads, l, EF_T_NORM1_B));
}
