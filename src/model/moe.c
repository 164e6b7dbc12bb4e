#include "model/ops.h"
#include "model/topk.h"

/* Routing, the experts' weighted sum and the shared expert: Dai et al., "DeepSeekMoE" (ACL 2024), as coded
 * for Qwen1.5-MoE and DeepSeek-MoE. No token is dropped: every expert takes all rows that chose it. */

static ef_linear router_linear(const ef_pass *s, const float *params, int l) {
  return (ef_linear){.in = s->dims.D, .out = s->dims.E, .w = ef_weight(&s->at, params, l, EF_T_ROUTER_W)};
}

static ef_linear gate_linear(const ef_pass *s, const float *params, int l) {
  return (ef_linear){.in = s->dims.D, .out = 1, .w = ef_weight(&s->at, params, l, EF_T_SHARED_ROUTER_W)};
}

static ef_swiglu shared_expert(const ef_pass *s, const ef_blocks *blocks, int l) {
  ef_swiglu f = {.D = s->dims.D,
                 .F = s->dims.Fs,
                 .gate_up = ef_weight(&s->at, blocks->params, l, EF_T_SHARED_GATE_W),
                 .down = ef_weight(&s->at, blocks->params, l, EF_T_SHARED_DOWN_W)};
  if (blocks->grads) {
    f.dgate_up = ef_gradient(&s->at, blocks->grads, l, EF_T_SHARED_GATE_W);
    f.ddown = ef_gradient(&s->at, blocks->grads, l, EF_T_SHARED_DOWN_W);
  }
  return f;
}

/* next += S(x), or sigmoid(w.x) S(x). */
static void shared_forward(ef_pass *s, const float *params, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  size_t R = s->B * s->T;
  ef_swiglu f = shared_expert(s, &(ef_blocks){.params = params}, (int)layer);
  if (!s->dims.shared_gate) {
    ef_swiglu_forward(s->k, &f, R, st->xn2, m->shared_gu, m->shared_act, 1.0f, st->next);
    return;
  }
  ef_linear gate = gate_linear(s, params, (int)layer);
  ef_swiglu_forward(s->k, &f, R, st->xn2, m->shared_gu, m->shared_act, 0.0f, m->shared_y);
  ef_linear_forward(s->k, &gate, R, st->xn2, 0.0f, m->gate);
  s->k->sigmoid_gate(R, s->dims.D, m->gate, m->shared_y, st->next);
}

/* dxn += */
static void shared_backward(ef_pass *s, const ef_blocks *blocks, size_t layer) {
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  const ef_scratch *w = &s->scratch;
  size_t R = s->B * s->T;
  int l = (int)layer;
  ef_swiglu f = shared_expert(s, blocks, l);
  const float *dy = w->dx;
  if (s->dims.shared_gate) {
    ef_linear gate = gate_linear(s, blocks->params, l);
    s->k->sigmoid_gate_backward(R, s->dims.D, w->dx, m->gate, m->shared_y, w->dshared, w->dgate);
    ef_linear_backward(s->k, &gate, R, st->xn2, w->dgate,
                       ef_gradient(&s->at, blocks->grads, l, EF_T_SHARED_ROUTER_W), NULL, 1.0f, w->dxn);
    dy = w->dshared;
  }
  ef_swiglu_backward(s->k, &f, R, st->xn2, m->shared_gu, m->shared_act, dy, w->dgu, w->dact, 1.0f, w->dxn);
}

/* Chooses anew, among the experts held; the probabilities stay those of all. The kernel's backward needs only
 * who was chosen. */
static void choose_held(const ef_dims *d, size_t R, const ef_moe_state *m) {
  for (size_t r = 0; r < R; r++) {
    float *weights = m->weights + r * d->K;
    double sum = (double)d->norm_topk_eps;
    ef_top_k(d->held, d->K, m->probs + r * d->E, m->experts + r * d->K, weights);
    for (size_t k = 0; k < d->K; k++) sum += (double)weights[k];
    for (size_t k = 0; d->norm_topk && k < d->K; k++) weights[k] = (float)((double)weights[k] / sum);
  }
}

static void route(ef_pass *s, const float *params, size_t layer) {
  const ef_dims *d = &s->dims;
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  size_t R = s->B * s->T, *load = s->load + s->moe_index[layer] * d->E;
  ef_linear router = router_linear(s, params, (int)layer);
  ef_linear_forward(s->k, &router, R, st->xn2, 0.0f, m->logits);
  s->k->router(R, d->E, d->K, d->norm_topk, d->norm_topk_eps, m->logits, m->probs, m->experts, m->weights);
  if (d->held) choose_held(d, R, m);
  s->k->moe_sort(R, d->E, d->K, m->experts, load, m->source, m->position);
  s->k->moe_gather(R, d->K, d->D, m->source, st->xn2, s->scratch.xs);
  s->last_moe = layer;
  ef_aux_add(s, layer);
}

ef_status ef_moe_forward(ef_pass *s, const float *params, size_t layer) {
  const ef_dims *d = &s->dims;
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  size_t R = s->B * s->T;
  int l = (int)layer;
  ef_norm_forward(s, ef_weight(&s->at, params, l, EF_T_NORM2_W), ef_weight(&s->at, params, l, EF_T_NORM2_B),
                  st->mid, st->xn2, st->mean2, st->rstd2);
  route(s, params, layer);
  EF_TRY(s->experts.forward(s->experts.ctx, layer, R * d->K, s->load + s->moe_index[layer] * d->E,
                            s->scratch.xs, m->ys));
  ef_carry(s, st->mid, st->next);
  s->k->moe_combine(R, d->K, d->D, m->position, m->weights, m->ys, st->next);
  if (d->Fs) shared_forward(s, params, layer);
  return EF_OK;
}

/* The gradient of the router: dxn = ..., overwritten. */
static void route_backward(ef_pass *s, const ef_blocks *blocks, size_t layer, float aux_scale) {
  const ef_dims *d = &s->dims;
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  const ef_scratch *w = &s->scratch;
  size_t R = s->B * s->T, group_rows = R;
  const float *aux = ef_aux_gradient(s, layer, aux_scale, &group_rows);
  ef_linear router = router_linear(s, blocks->params, (int)layer);
  s->k->router_backward(R, d->E, d->K, d->norm_topk, d->norm_topk_eps, m->probs, m->experts, m->weights,
                        w->dweights, aux, group_rows, w->dlogits);
  ef_linear_backward(s->k, &router, R, st->xn2, w->dlogits,
                     ef_gradient(&s->at, blocks->grads, (int)layer, EF_T_ROUTER_W), NULL, 0.0f, w->dxn);
}

ef_status ef_moe_backward(ef_pass *s, const ef_blocks *blocks, size_t layer, float aux_scale) {
  const ef_dims *d = &s->dims;
  const ef_layer_state *st = &s->layers[layer];
  const ef_moe_state *m = &st->moe;
  const ef_scratch *w = &s->scratch;
  size_t R = s->B * s->T;
  int l = (int)layer;
  s->k->moe_gather(R, d->K, d->D, m->source, st->xn2, w->xs);
  s->k->moe_combine_backward(R, d->K, d->D, m->position, m->weights, m->ys, w->dx, w->dys, w->dweights);
  EF_TRY(s->experts.backward(s->experts.ctx, layer, R * d->K, s->load + s->moe_index[layer] * d->E, w->xs,
                             w->dys, w->dxs));
  route_backward(s, blocks, layer, aux_scale);
  if (d->Fs) shared_backward(s, blocks, layer);
  s->k->moe_gather_backward(R, d->K, d->D, m->position, w->dxs, w->dxn);
  ef_norm_backward(s, ef_weight(&s->at, blocks->params, l, EF_T_NORM2_W), w->dxn, st->mid, st->mean2,
                   st->rstd2, w->dx, ef_gradient(&s->at, blocks->grads, l, EF_T_NORM2_W),
                   ef_gradient(&s->at, blocks->grads, l, EF_T_NORM2_B));
  return EF_OK;
}
