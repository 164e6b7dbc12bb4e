#include "model/generate.h"

#include "base/memory.h"
#include "base/rng.h"
#include "model/topk.h"
#include <math.h>

/* One text in the making. */
typedef struct writer {
  const ef_model *model;
  const ef_sampling *how;
  ef_pass *pass;
  size_t window;  /* positions of the pass */
  size_t choices; /* candidates of a draw */
  float *logits;  /* (V) */
  float *value;   /* (choices) */
  int32_t *index; /* (choices) */
  double *weight; /* (choices) */
} writer;

/* First token that the model sees of `length` tokens. The window moves by half of its width at a time, so
 * that a cache stays valid for many tokens; with and without a cache it stands at the same place. */
static size_t window_start(size_t window, size_t length) {
  if (length <= window) return 0;
  size_t step = window > 1 ? window / 2 : 1;
  return (length - window + step - 1) / step * step;
}

/* Logits of the token behind ids[0..length). `seen` tokens are in the cache, counted from the window's start.
 */
static ef_status next_logits(writer *w, const int32_t *ids, size_t length, size_t *start) {
  size_t first = window_start(w->window, length);
  if (first != *start || !w->how->cache) ef_pass_reset(w->pass);
  *start = first;
  size_t begin = first + ef_pass_cached(w->pass), n = length - begin;
  EF_TRY(ef_forward(w->pass, w->model, ids + begin, 1, n));
  ef_logits(w->pass, w->model, n - 1, 1, w->logits);
  return EF_OK;
}

static int32_t draw(writer *w, size_t i) {
  size_t V = w->model->dims.V, n = w->choices;
  double sum = 0.0;
  ef_top_k(V, n, w->logits, w->index, w->value);
  if (w->how->temperature <= 0.0) return w->index[0];
  for (size_t j = 0; j < n; j++) {
    w->weight[j] = exp(((double)w->value[j] - (double)w->value[0]) / w->how->temperature);
    sum += w->weight[j];
  }
  ef_rng rng = ef_rng_stream(w->how->seed, EF_RNG_SAMPLE, 0, (uint32_t)i);
  double left = ef_rng_uniform(&rng) * sum;
  for (size_t j = 0; j + 1 < n; j++) {
    left -= w->weight[j];
    if (left < 0.0) return w->index[j];
  }
  return w->index[n - 1];
}

static ef_status open_writer(writer *w, const ef_kernels *kernels, size_t longest) {
  const ef_dims *d = &w->model->dims;
  ef_pass_kind kind = w->how->cache ? EF_PASS_CACHE : EF_PASS_EVAL;
  size_t wanted = w->how->top_k == 0 || w->how->top_k > d->V ? d->V : w->how->top_k;
  w->choices = w->how->temperature > 0.0 ? wanted : 1;
  w->window = longest < d->max_positions ? longest : d->max_positions;
  EF_TRY(EF_NEW(w->logits, d->V));
  EF_TRY(EF_NEW(w->value, w->choices));
  EF_TRY(EF_NEW(w->index, w->choices));
  EF_TRY(EF_NEW(w->weight, w->choices));
  return ef_pass_create(d, kernels, kind, 1, w->window, false, NULL, &w->pass);
}

static void close_writer(writer *w) {
  ef_pass_free(w->pass);
  ef_free(w->logits);
  ef_free(w->value);
  ef_free(w->index);
  ef_free(w->weight);
}

ef_status ef_generate(const ef_model *model, const ef_kernels *kernels, const ef_sampling *sampling,
                      int32_t *ids, size_t length, size_t n, size_t *made) {
  ef_status status = EF_OK;
  writer w = {.model = model, .how = sampling};
  size_t start = 0;
  *made = 0;
  EF_GO(EF_CHECK(length > 0, EF_INPUT, "the prompt is empty: give at least one token"));
  for (size_t i = 0; i < length; i++) {
    EF_GO(EF_CHECK(ids[i] >= 0 && (size_t)ids[i] < model->dims.V, EF_INPUT,
                   "token %d of the prompt is outside the vocabulary of %zu", ids[i], model->dims.V));
  }
  EF_GO(open_writer(&w, kernels, length + n));
  while (*made < n) {
    EF_GO(next_logits(&w, ids, length + *made, &start));
    int32_t token = draw(&w, *made);
    if (token == sampling->stop) break;
    ids[length + (*made)++] = token;
  }
done:
  close_writer(&w);
  return status;
}
