#include "model/head.h"

#include "model/ops.h"
#include "model/topk.h"

/* The head has no bias: logits = final W^T, W (V,D) the embedding when tied. */
static ef_role head_role(const ef_dims *d) { return d->tied ? EF_T_EMBED : EF_T_HEAD_W; }

static ef_linear head_linear(const ef_pass *s, const ef_model *model) {
  return (ef_linear){
      .in = s->dims.D, .out = s->dims.V, .w = ef_weight(&s->at, model->params, -1, head_role(&s->dims))};
}

void ef_head_logits(const ef_pass *s, const ef_model *model, const float *hidden, size_t rows,
                    float *logits) {
  ef_linear head = head_linear(s, model);
  ef_linear_forward(s->k, &head, rows, hidden, 0.0f, logits);
}

/* One block of rows of one call. */
typedef struct block {
  size_t row, rows;
  const int32_t *targets, *labels;
} block;

static void count_rows(const ef_pass *s, const block *b, float *row_losses, uint8_t *row_hits,
                       ef_loss_sums *sums) {
  for (size_t r = 0; r < b->rows; r++) {
    bool counted = b->targets[r] != EF_IGNORE;
    if (row_losses) row_losses[b->row + r] = s->head.losses[r];
    if (row_hits) row_hits[b->row + r] = counted && s->head.hits[r];
    if (!counted) continue;
    sums->ce += (double)s->head.losses[r];
    sums->tokens++;
    sums->hits += s->head.hits[r];
  }
}

/* Adds the distillation term of a block; dlogits NULL: the loss alone. */
static void distil(ef_pass *s, const ef_loss_spec *spec, const block *b, float *dlogits, ef_loss_sums *sums) {
  const ef_head_state *w = &s->head;
  size_t V = s->dims.V, k = spec->top_k;
  spec->teacher->logits(spec->teacher->ctx, b->row, b->rows, w->logits, w->teacher);
  if (spec->ofa) {
    s->k->ofa(b->rows, V, spec->tau, spec->epsilon, w->teacher, w->logits, b->targets, spec->kl_scale,
              w->losses, dlogits);
  } else if (k == 0 || k > w->top_k) {
    s->k->kl(b->rows, V, spec->tau, w->teacher, w->logits, b->targets, spec->kl_scale, w->losses, dlogits);
  } else {
    for (size_t r = 0; r < b->rows; r++) {
      ef_top_k(V, k, w->teacher + r * V, w->top_index + r * k, w->top_value + r * k);
    }
    s->k->kl_topk(b->rows, V, k, spec->tau, w->top_index, w->top_value, w->logits, b->targets, spec->kl_scale,
                  w->losses, dlogits);
  }
  for (size_t r = 0; r < b->rows; r++) sums->kl += (double)w->losses[r];
}

void ef_head_loss(ef_pass *s, const ef_model *model, const ef_loss_spec *spec, const float *hidden,
                  float *grads, float *dhidden, float *row_losses, ef_loss_sums *sums) {
  const ef_head_state *w = &s->head;
  size_t R = s->B * s->T, D = s->dims.D;
  ef_linear head = head_linear(s, model);
  /* Without a teacher the gradient may take the place of the logits, still warm in cache. */
  float *dlogits = !grads ? NULL : spec->teacher ? w->dlogits : w->logits;
  for (size_t row = 0; row < R; row += w->rows) {
    const int32_t *labels = spec->labels ? spec->labels : spec->targets;
    block b = {row, R - row < w->rows ? R - row : w->rows, spec->targets + row, labels + row};
    ef_head_logits(s, model, hidden + row * D, b.rows, w->logits);
    s->k->cross_entropy(b.rows, s->dims.V, w->logits, b.labels, spec->ce_scale, w->losses, w->hits, dlogits);
    count_rows(s, &b, row_losses, spec->row_hits, sums);
    if (spec->teacher) distil(s, spec, &b, dlogits, sums);
    if (!grads) continue;
    ef_linear_backward(s->k, &head, b.rows, hidden + row * D, dlogits,
                       ef_gradient(&s->at, grads, -1, head_role(&s->dims)), NULL, 0.0f, dhidden + row * D);
  }
}
