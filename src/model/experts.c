#include "model/ops.h"

void ef_expert_forward(const ef_kernels *k, size_t n, size_t D, size_t Fe, const float *gate_up,
                       const float *down, const float *xs, float *gu, float *act, float *ys) {
  ef_swiglu f = {.D = D, .F = Fe, .gate_up = gate_up, .down = down};
  ef_swiglu_forward(k, &f, n, xs, gu, act, 0.0f, ys);
}

void ef_expert_backward(const ef_kernels *k, size_t n, size_t D, size_t Fe, const float *gate_up,
                        const float *down, const float *xs, const float *gu, const float *act,
                        const float *dys, float *dgate_up, float *ddown, float *dxs, float *dgu,
                        float *dact) {
  ef_swiglu f = {.D = D, .F = Fe, .gate_up = gate_up, .down = down, .dgate_up = dgate_up, .ddown = ddown};
  ef_swiglu_backward(k, &f, n, xs, gu, act, dys, dgu, dact, 0.0f, dxs);
}

/* Start of expert e of a layer in a block of parameters or gradients. */
static size_t expert_offset(const ef_local_experts *c, size_t layer, size_t e) {
  return ef_table_expert(&c->model->table, c->pass->moe_index[layer], e);
}

/* In TRAIN the rows of each expert keep their inner activations; otherwise the experts share the first rows.
 */
static size_t kept_row(const ef_pass *s, size_t row) { return s->kind == EF_PASS_TRAIN ? row : 0; }

static ef_status local_forward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                               float *ys) {
  ef_local_experts *c = ctx;
  const ef_pass *s = c->pass;
  const ef_moe_state *m = &s->layers[layer].moe;
  size_t D = s->dims.D, Fe = s->dims.Fe, row = 0;
  size_t held = ef_dims_held(&s->dims);
  EF_TRY(EF_CHECK(c->model->table.expert_count == held, EF_FAULT,
                  "a pass that computes all experts got a model that holds %zu of %zu",
                  c->model->table.expert_count, held));
  for (size_t e = 0; e < held; row += count[e++]) {
    const float *w = c->model->params + expert_offset(c, layer, e);
    size_t kept = kept_row(s, row);
    if (count[e] == 0) continue;
    ef_expert_forward(s->k, count[e], D, Fe, w, w + c->model->table.expert_down, xs + row * D,
                      m->gu + kept * 2 * Fe, m->act + kept * Fe, ys + row * D);
  }
  EF_ASSERT(row == rows);
  (void)rows;
  return EF_OK;
}

static ef_status local_backward(void *ctx, size_t layer, size_t rows, const size_t *count, const float *xs,
                                const float *dys, float *dxs) {
  ef_local_experts *c = ctx;
  const ef_pass *s = c->pass;
  const ef_moe_state *m = &s->layers[layer].moe;
  size_t D = s->dims.D, Fe = s->dims.Fe, row = 0;
  for (size_t e = 0; e < ef_dims_held(&s->dims); row += count[e++]) {
    size_t offset = expert_offset(c, layer, e), down = c->model->table.expert_down;
    const float *w = c->model->params + offset;
    float *g = c->grads + offset;
    if (count[e] == 0) continue;
    ef_expert_backward(s->k, count[e], D, Fe, w, w + down, xs + row * D, m->gu + row * 2 * Fe,
                       m->act + row * Fe, dys + row * D, g, g + down, dxs + row * D, s->scratch.dgu,
                       s->scratch.dact);
  }
  EF_ASSERT(row == rows);
  (void)rows;
  return EF_OK;
}

ef_experts ef_experts_local(ef_local_experts *ctx) {
  return (ef_experts){.ctx = ctx, .forward = local_forward, .backward = local_backward};
}
