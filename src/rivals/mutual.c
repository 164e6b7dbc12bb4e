#include "rivals/mutual.h"

#include "base/memory.h"
#include <string.h>

/* Tokens without a logit lie this far below the largest: the exponential is 0, and the difference of two such
 * numbers is exact enough for every backend to take its product with 0. */
static const float FAR_BELOW = 1e4f;

void ef_logits_choose(const ef_samples *samples, const ef_logit_set *candidate, int32_t device,
                      ef_logit_set *best, int32_t *winner) {
  for (size_t w = 0; w < samples->windows; w++) {
    if (!(candidate->loss[w] < best->loss[w])) continue;
    size_t at = samples->first[w] * best->k, count = samples->first[w + 1] * best->k - at;
    memcpy(best->index + at, candidate->index + at, count * sizeof *best->index);
    memcpy(best->logit + at, candidate->logit + at, count * sizeof *best->logit);
    best->loss[w] = candidate->loss[w];
    winner[w] = device;
  }
}

/* ---- the teacher --------------------------------------------------------------------------------------- */

/* Numbers the rows of the batch just drawn. */
static void number_rows(ef_soft_labels *l, const int32_t *targets) {
  size_t T = l->samples->T;
  for (size_t b = 0; b < l->B; b++) {
    size_t token = l->samples->first[l->drawn[b]];
    for (size_t row = b * T; row < (b + 1) * T; row++) {
      l->token[row] = targets[row] != EF_IGNORE ? token++ : SIZE_MAX;
    }
  }
}

static bool teaches(const ef_soft_labels *l, size_t window) {
  return !l->own || l->set->loss[window] < l->own[window];
}

static void write_row(const ef_soft_labels *l, size_t row, float *out) {
  size_t T = l->samples->T, window = l->drawn[row / T], token = l->token[row], k = l->set->k;
  bool taught = teaches(l, window);
  const float *logit = l->set->logit + token * k;
  float lowest = (taught ? logit[0] : 0.0f) - FAR_BELOW;
  for (size_t v = 0; v < l->V; v++) out[v] = lowest;
  if (taught) {
    for (size_t i = 0; i < k; i++) out[l->set->index[token * k + i]] = logit[i];
  } else {
    out[l->samples->text->ids[window * T + row % T + 1]] = 0.0f;
  }
}

static void soft_logits(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  (void)student;
  const ef_soft_labels *l = ctx;
  for (size_t r = 0; r < rows; r++) {
    if (l->token[row + r] == SIZE_MAX) {
      memset(out + r * l->V, 0, l->V * sizeof *out); /* not counted, but it must be a number */
    } else {
      write_row(l, row + r, out + r * l->V);
    }
  }
}

ef_status ef_soft_labels_create(const ef_samples *samples, const ef_logit_set *set, const float *own,
                                size_t V, size_t B, double lambda, ef_soft_labels *l) {
  *l = (ef_soft_labels){.samples = samples,
                        .set = set,
                        .own = own,
                        .V = V,
                        .B = B,
                        .lambda = (float)lambda,
                        .teacher = {.ctx = l, .logits = soft_logits}};
  ef_status status = EF_NEW(l->drawn, B);
  if (status == EF_OK) status = EF_NEW(l->token, B * samples->T);
  if (status != EF_OK) ef_soft_labels_free(l);
  return status;
}

void ef_soft_labels_free(ef_soft_labels *l) {
  ef_free(l->drawn);
  ef_free(l->token);
  *l = (ef_soft_labels){0};
}

/* ---- learners ------------------------------------------------------------------------------------------ */

ef_source ef_soft_labels_source(const ef_soft_labels *l, uint64_t seed, uint64_t unit) {
  return (ef_source){.general = l->samples->text, .seed = seed, .unit = unit, .drawn = l->drawn};
}

static ef_status begin(void *ctx, const int32_t *ids, size_t B, size_t T, ef_loss_spec *spec) {
  (void)ids;
  (void)B;
  (void)T;
  ef_soft_labels *l = ctx;
  if (l->lambda == 0.0f) return EF_OK;
  number_rows(l, spec->targets);
  spec->teacher = &l->teacher;
  spec->ce_scale *= 1.0f - l->lambda;
  spec->kl_scale = l->lambda;
  return EF_OK;
}

ef_objective ef_soft_labels_objective(ef_soft_labels *l) { return (ef_objective){.ctx = l, .begin = begin}; }

static ef_status feed_batch(void *ctx, size_t step, size_t micro, int32_t *ids, int32_t *targets) {
  ef_soft_labels *l = ctx;
  EF_TRY(ef_text_feed_batch(&l->text, step, micro, ids, targets));
  number_rows(l, targets);
  return EF_OK;
}

ef_feed ef_soft_labels_feed(ef_soft_labels *l, uint64_t seed, uint64_t unit) {
  l->text = (ef_text_feed){.source = ef_soft_labels_source(l, seed, unit), .B = l->B, .T = l->samples->T};
  return (ef_feed){.ctx = l,
                   .batch = feed_batch,
                   .teacher = l->lambda > 0.0f ? &l->teacher : NULL,
                   .ce = 1.0f - l->lambda,
                   .kl = l->lambda,
                   .tau = 1.0f};
}
