#include "model/ops.h"
#include <string.h>

/* Positions of the rows of a sequence follow each other, so a learned table is added block by block. */
static void add_positions(ef_pass *s, const float *table, float *x) {
  size_t n = s->T * s->dims.D;
  for (size_t b = 0; b < s->B; b++) s->k->add(n, table + s->cached * s->dims.D, x + b * n);
}

void ef_embed_forward(ef_pass *s, const float *params) {
  size_t R = s->B * s->T, D = s->dims.D;
  float *out = s->layers[0].x, *x = s->dims.embed_norm ? s->embedded : out;
  const float *table = ef_weight(&s->at, params, -1, EF_T_POSITION);
  s->k->embedding(R, D, s->ids, ef_weight(&s->at, params, -1, EF_T_EMBED), x);
  if (table) add_positions(s, table, x);
  if (s->dims.embed_norm) {
    s->k->layernorm(R, D, s->dims.norm_eps, x, ef_weight(&s->at, params, -1, EF_T_EMBED_NORM_W),
                    ef_weight(&s->at, params, -1, EF_T_EMBED_NORM_B), out, s->embed_mean, s->embed_rstd);
  }
}

/* The row of the pad token gets nothing from the look-up. */
static void drop_pad_rows(const ef_pass *s, float *dx) {
  for (size_t r = 0; r < s->B * s->T; r++) {
    if (s->ids[r] == s->dims.pad) memset(dx + r * s->dims.D, 0, s->dims.D * sizeof(float));
  }
}

void ef_embed_backward(ef_pass *s, const ef_blocks *blocks) {
  size_t R = s->B * s->T, D = s->dims.D;
  float *dx = s->scratch.dx, *dtable = ef_gradient(&s->at, blocks->grads, -1, EF_T_POSITION);
  if (s->dims.embed_norm) {
    float *inner = s->scratch.dxn;
    memset(inner, 0, R * D * sizeof(float));
    s->k->layernorm_backward(R, D, dx, s->embedded, ef_weight(&s->at, blocks->params, -1, EF_T_EMBED_NORM_W),
                             s->embed_mean, s->embed_rstd, inner,
                             ef_gradient(&s->at, blocks->grads, -1, EF_T_EMBED_NORM_W),
                             ef_gradient(&s->at, blocks->grads, -1, EF_T_EMBED_NORM_B));
    dx = inner;
  }
  for (size_t b = 0; dtable && b < s->B; b++) s->k->add(s->T * D, dx + b * s->T * D, dtable);
  if (s->dims.has_pad) drop_pad_rows(s, dx);
  s->k->embedding_backward(R, D, s->ids, dx, ef_gradient(&s->at, blocks->grads, -1, EF_T_EMBED));
}
