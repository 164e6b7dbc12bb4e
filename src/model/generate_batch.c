#include "base/memory.h"
#include "base/rng.h"
#include "model/generate.h"
#include <math.h>

/* Texts of one length that are written together. */
typedef struct writer {
  const ef_model *model;
  const ef_batch_sampling *how;
  ef_pass *pass;
  size_t B, length;
  float *logits;  /* (B,V) of the next token */
  double *weight; /* (V) */
  int32_t *fed;   /* (B, prompt) what the pass reads next */
} writer;

/* One token from softmax(z / temperature), without the one that is never drawn. */
static int32_t draw(const writer *w, const float *z, ef_rng *rng) {
  size_t V = w->model->dims.V;
  double largest = -INFINITY, sum = 0.0;
  int32_t token = 0;
  for (size_t v = 0; v < V; v++) {
    if ((int32_t)v != w->how->never) largest = fmax(largest, (double)z[v]);
  }
  for (size_t v = 0; v < V; v++) {
    bool drawn = (int32_t)v != w->how->never;
    sum += w->weight[v] = drawn ? exp(((double)z[v] - largest) / w->how->temperature) : 0.0;
  }
  double left = ef_rng_uniform(rng) * sum;
  for (size_t v = 0; v < V; v++) {
    if (w->weight[v] == 0.0) continue;
    token = (int32_t)v;
    left -= w->weight[v];
    if (left < 0.0) break;
  }
  return token;
}

/* Feeds ids[at .. at+n) of each text and leaves the logits behind them. */
static ef_status read_on(writer *w, const int32_t *ids, size_t at, size_t n) {
  for (size_t b = 0; b < w->B; b++) {
    for (size_t t = 0; t < n; t++) w->fed[b * n + t] = ids[b * w->length + at + t];
  }
  EF_TRY(ef_forward(w->pass, w->model, w->fed, w->B, n));
  for (size_t b = 0; b < w->B; b++)
    ef_logits(w->pass, w->model, b * n + n - 1, 1, w->logits + b * w->model->dims.V);
  return EF_OK;
}

static ef_status write_texts(writer *w, size_t prompt, int32_t *ids) {
  EF_TRY(read_on(w, ids, 0, prompt));
  for (size_t i = prompt; i < w->length; i++) {
    for (size_t b = 0; b < w->B; b++) {
      ef_rng rng = ef_rng_stream(w->how->seed, EF_RNG_SAMPLE, w->how->unit + b, (uint32_t)(i - prompt));
      ids[b * w->length + i] = draw(w, w->logits + b * w->model->dims.V, &rng);
    }
    if (i + 1 < w->length) EF_TRY(read_on(w, ids, i, 1));
  }
  return EF_OK;
}

ef_status ef_generate_batch(const ef_model *model, const ef_kernels *kernels, const ef_batch_sampling *how,
                            size_t B, size_t prompt, size_t length, int32_t *ids) {
  writer w = {.model = model, .how = how, .B = B, .length = length};
  ef_status status = EF_OK;
  EF_GO(EF_CHECK(prompt > 0 && prompt < length, EF_INPUT, "a prompt of %zu tokens of %zu", prompt, length));
  EF_GO(ef_pass_create(&model->dims, kernels, EF_PASS_CACHE, B, length, false, NULL, &w.pass));
  EF_GO(EF_NEW(w.logits, B * model->dims.V));
  EF_GO(EF_NEW(w.weight, model->dims.V));
  EF_GO(EF_NEW(w.fed, B * prompt));
  EF_GO(write_texts(&w, prompt, ids));
done:
  ef_pass_free(w.pass);
  ef_free(w.logits);
  ef_free(w.weight);
  ef_free(w.fed);
  return status;
}
