#include "model/ops.h"
#include <string.h>

static ef_swiglu swiglu_of(const ef_pass *s, const ef_blocks *blocks, int l) {
  ef_swiglu f = {.D = s->dims.D,
                 .F = ef_dims_ffn_width(&s->dims, (size_t)l),
                 .gate_up = ef_weight(&s->at, blocks->params, l, EF_T_GATE_W),
                 .down = ef_weight(&s->at, blocks->params, l, EF_T_DOWN_W)};
  if (blocks->grads) {
    f.dgate_up = ef_gradient(&s->at, blocks->grads, l, EF_T_GATE_W);
    f.ddown = ef_gradient(&s->at, blocks->grads, l, EF_T_DOWN_W);
  }
  return f;
}

static ef_linear up_linear(const ef_pass *s, const float *params, int l) {
  return (ef_linear){.in = s->dims.D,
                     .out = ef_dims_ffn_width(&s->dims, (size_t)l),
                     .conv1d = s->dims.conv1d,
                     .w = ef_weight(&s->at, params, l, EF_T_UP_W),
                     .b = ef_weight(&s->at, params, l, EF_T_UP_B)};
}

static ef_linear down_linear(const ef_pass *s, const float *params, int l) {
  return (ef_linear){.in = ef_dims_ffn_width(&s->dims, (size_t)l),
                     .out = s->dims.D,
                     .conv1d = s->dims.conv1d,
                     .w = ef_weight(&s->at, params, l, EF_T_DOWN_W),
                     .b = ef_weight(&s->at, params, l, EF_T_DOWN_B)};
}

static void gelu_forward(ef_pass *s, const float *params, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  size_t R = s->B * s->T;
  ef_linear up = up_linear(s, params, (int)layer), down = down_linear(s, params, (int)layer);
  ef_linear_forward(s->k, &up, R, st->xn2, 0.0f, st->gu);
  s->k->gelu(R * up.out, st->gu, st->act);
  ef_linear_forward(s->k, &down, R, st->act, 1.0f, st->next);
}

static void gelu_backward(ef_pass *s, const ef_blocks *blocks, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  const ef_scratch *w = &s->scratch;
  int l = (int)layer;
  size_t R = s->B * s->T;
  ef_linear up = up_linear(s, blocks->params, l), down = down_linear(s, blocks->params, l);
  ef_linear_backward(s->k, &down, R, st->act, w->dx, ef_gradient(&s->at, blocks->grads, l, EF_T_DOWN_W),
                     ef_gradient(&s->at, blocks->grads, l, EF_T_DOWN_B), 0.0f, w->dact);
  memset(w->dgu, 0, R * up.out * sizeof(float));
  s->k->gelu_backward(R * up.out, w->dact, st->gu, w->dgu);
  ef_linear_backward(s->k, &up, R, st->xn2, w->dgu, ef_gradient(&s->at, blocks->grads, l, EF_T_UP_W),
                     ef_gradient(&s->at, blocks->grads, l, EF_T_UP_B), 0.0f, w->dxn);
}

void ef_ffn_forward(ef_pass *s, const float *params, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  int l = (int)layer;
  ef_norm_forward(s, ef_weight(&s->at, params, l, EF_T_NORM2_W), ef_weight(&s->at, params, l, EF_T_NORM2_B),
                  st->mid, st->xn2, st->mean2, st->rstd2);
  ef_carry(s, st->mid, st->next);
  if (s->dims.ffn == EF_GELU) {
    gelu_forward(s, params, layer);
  } else {
    ef_swiglu f = swiglu_of(s, &(ef_blocks){.params = params}, l);
    ef_swiglu_forward(s->k, &f, s->B * s->T, st->xn2, st->gu, st->act, 1.0f, st->next);
  }
}

void ef_ffn_backward(ef_pass *s, const ef_blocks *blocks, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  const ef_scratch *w = &s->scratch;
  int l = (int)layer;
  if (s->dims.ffn == EF_GELU) {
    gelu_backward(s, blocks, layer);
  } else {
    ef_swiglu f = swiglu_of(s, blocks, l);
    ef_swiglu_backward(s->k, &f, s->B * s->T, st->xn2, st->gu, st->act, w->dx, w->dgu, w->dact, 0.0f, w->dxn);
  }
  ef_norm_backward(s, ef_weight(&s->at, blocks->params, l, EF_T_NORM2_W), w->dxn, st->mid, st->mean2,
                   st->rstd2, w->dx, ef_gradient(&s->at, blocks->grads, l, EF_T_NORM2_W),
                   ef_gradient(&s->at, blocks->grads, l, EF_T_NORM2_B));
}
