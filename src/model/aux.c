#include "model/pass_internal.h"
#include <string.h>

/* Load-balancing losses (models.md): counts are constants in differentiation, the sums of probabilities are
 * not. POOLED: one group of N = layers*B*T rows, E/N^2 sum count*prob. Per layer otherwise, alpha*E/(K*N^2)
 * with N rows of a group, the mean over the sequences if those are the groups. */

static double factor(const ef_pass *s) {
  const ef_dims *d = &s->dims;
  double E = (double)d->E, K = (double)d->K, B = (double)s->B, T = (double)s->T;
  double pooled = (double)ef_dims_moe_count(d) * B * T;
  switch (d->aux) {
  case EF_AUX_POOLED:
    return E / (pooled * pooled);
  case EF_AUX_SEQUENCE:
    return (double)d->aux_coef * E / (K * T * T * B);
  case EF_AUX_BATCH:
    return (double)d->aux_coef * E / (K * B * T * B * T);
  case EF_AUX_NONE:
    break;
  }
  return 0.0;
}

/* First sum of a layer. */
static size_t slot(const ef_pass *s, size_t layer) {
  size_t index = s->aux.slots == 1 ? 0 : s->moe_index[layer];
  return index * s->aux.groups * s->dims.E;
}

static size_t groups_now(const ef_pass *s) { return s->dims.aux == EF_AUX_SEQUENCE ? s->B : 1; }

static bool active(const ef_pass *s) { return s->aux.slots > 0; }

void ef_aux_begin(ef_pass *s) {
  size_t n = s->aux.slots * s->aux.groups * s->dims.E;
  s->aux.value = 0.0;
  if (!active(s)) return;
  memset(s->aux.count, 0, n * sizeof *s->aux.count);
  memset(s->aux.probs, 0, n * sizeof *s->aux.probs);
}

void ef_aux_add(ef_pass *s, size_t layer) {
  if (!active(s)) return;
  const ef_moe_state *m = &s->layers[layer].moe;
  size_t E = s->dims.E, K = s->dims.K, groups = groups_now(s), rows = s->B * s->T / groups;
  for (size_t g = 0; g < groups; g++) {
    size_t at = slot(s, layer) + g * E;
    s->k->router_stats(rows, E, K, m->probs + g * rows * E, m->experts + g * rows * K, s->aux.count + at,
                       s->aux.probs + at);
  }
}

void ef_aux_finish(ef_pass *s) {
  size_t stride = s->aux.groups * s->dims.E;
  for (size_t i = 0; i < s->aux.slots; i++) {
    s->aux.value += s->k->aux_loss(groups_now(s), s->dims.E, factor(s), s->aux.count + i * stride,
                                   s->aux.probs + i * stride, s->aux.coef);
  }
}

const float *ef_aux_gradient(ef_pass *s, size_t layer, float scale, size_t *group_rows) {
  if (!active(s)) return NULL;
  size_t groups = groups_now(s), at = slot(s, layer);
  double weight = s->dims.aux == EF_AUX_POOLED ? (double)s->dims.aux_coef : 1.0;
  s->k->aux_loss(groups, s->dims.E, factor(s) * weight * (double)scale, s->aux.count + at, s->aux.probs + at,
                 s->aux.coef);
  *group_rows = s->B * s->T / groups;
  return s->aux.coef;
}

double ef_pass_aux(const ef_pass *s) { return s->aux.value; }

double ef_pass_aux_weighted(const ef_pass *s) {
  return s->dims.aux == EF_AUX_POOLED ? (double)s->dims.aux_coef * s->aux.value : s->aux.value;
}
