#include "train/confidence.h"

#include "base/clock.h"
#include "base/memory.h"
#include "model/exits.h"
#include <string.h>

enum { BLOCK = 256 };

/* Buffers of one measurement. */
typedef struct meter {
  ef_par *par;
  const ef_kernels *k;
  const ef_model *model;
  ef_exchange *exchange; /* NULL: dense */
  ef_pass *pass;
  const ef_confidence_text *text;
  ef_confidence *c;
  int32_t *ids, *targets; /* (B,T) */
  float *logits, *probs;  /* (BLOCK,V) */
  int32_t *best;          /* (heads,B*T) arg max of each head */
  float *sure;            /* (heads,B*T) its probability */
} meter;

/* ---- create and free ----------------------------------------------------------------------------------- */

static ef_status create_counts(ef_confidence *c) {
  EF_TRY(EF_NEW(c->left, c->thresholds * c->heads));
  EF_TRY(EF_NEW(c->hits, c->thresholds * c->heads));
  return EF_NEW(c->alone, c->heads);
}

static ef_status create_buffers(meter *m) {
  const ef_dims *d = &m->model->dims;
  size_t R = m->text->B * m->text->T;
  ef_experts experts = {0};
  if (m->exchange) experts = ef_exchange_experts(m->exchange);
  EF_TRY(create_counts(m->c));
  EF_TRY(EF_NEW(m->ids, R));
  EF_TRY(EF_NEW(m->targets, R));
  EF_TRY(EF_NEW(m->logits, BLOCK * d->V));
  EF_TRY(EF_NEW(m->probs, BLOCK * d->V));
  EF_TRY(EF_NEW(m->best, m->c->heads * R));
  EF_TRY(EF_NEW(m->sure, m->c->heads * R));
  return ef_pass_create(d, m->k, EF_PASS_EVAL, m->text->B, m->text->T, true, m->exchange ? &experts : NULL,
                        &m->pass);
}

static ef_status create(meter *m) {
  size_t R = m->text->B * m->text->T;
  if (m->model->dims.E) EF_TRY(ef_exchange_create(m->par, m->k, m->model, R, false, &m->exchange));
  return ef_agree(m->par, create_buffers(m));
}

static void release(meter *m) {
  ef_pass_free(m->pass);
  ef_exchange_free(m->exchange);
  void *blocks[] = {m->ids, m->targets, m->logits, m->probs, m->best, m->sure};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ef_free(blocks[i]);
}

void ef_confidence_free(ef_confidence *c) {
  ef_free(c->left);
  ef_free(c->hits);
  ef_free(c->alone);
  *c = (ef_confidence){0};
}

/* ---- one batch ----------------------------------------------------------------------------------------- */

/* Softmax and arg max are those of a router that chooses one of V. */
static void ask_head(meter *m, size_t head, size_t rows) {
  size_t V = m->model->dims.V, R = m->text->B * m->text->T;
  bool last = head + 1 == m->c->heads;
  if (!last) ef_exit_hidden(m->pass, m->model, head);
  for (size_t row = 0; row < rows; row += BLOCK) {
    size_t n = rows - row < BLOCK ? rows - row : BLOCK;
    if (last) {
      ef_logits(m->pass, m->model, row, n, m->logits);
    } else {
      ef_exit_logits(m->pass, m->model, row, n, m->logits);
    }
    m->k->router(n, V, 1, 0, 0.0f, m->logits, m->probs, m->best + head * R + row, m->sure + head * R + row);
  }
}

static void count_token(meter *m, size_t row) {
  ef_confidence *c = m->c;
  size_t R = m->text->B * m->text->T;
  for (size_t e = 0; e < c->heads; e++) c->alone[e] += m->best[e * R + row] == m->targets[row];
  for (size_t t = 0; t < c->thresholds; t++) {
    size_t e = 0;
    while (e + 1 < c->heads && (double)m->sure[e * R + row] < c->threshold[t]) e++;
    c->left[t * c->heads + e]++;
    c->hits[t * c->heads + e] += m->best[e * R + row] == m->targets[row];
  }
  c->tokens++;
}

static ef_status measure_batch(meter *m, const ef_stream *stream, size_t first, size_t count) {
  size_t n = 0, T = m->text->T, windows = ef_stream_windows(stream, T);
  EF_ASSERT(m->ids && m->targets);
  for (; n < m->text->B && first + n < count; n++) {
    ef_stream_window(stream, T, (first + n) * windows / count, m->ids + n * T, m->targets + n * T);
  }
  double started = ef_clock();
  EF_TRY(ef_forward(m->pass, m->model, m->ids, n, T));
  for (size_t e = 0; e < m->c->heads; e++) ask_head(m, e, n * T);
  m->c->seconds += ef_clock() - started;
  m->c->passed += n * T;
  for (size_t row = 0; row < n * T; row++) {
    if (m->targets[row] != EF_IGNORE) count_token(m, row);
  }
  return EF_OK;
}

/* ---- streams ------------------------------------------------------------------------------------------- */

/* Every rank has one batch of the slot, or none and then serves its experts. */
static ef_status run_slot(meter *m, const ef_stream *stream, size_t count, size_t batch) {
  bool mine = batch * m->text->B < count;
  if (!m->exchange) return mine ? measure_batch(m, stream, batch * m->text->B, count) : EF_OK;
  EF_TRY(ef_exchange_slot(m->exchange, mine ? batch : SIZE_MAX, NULL));
  if (mine) {
    EF_TRY(measure_batch(m, stream, batch * m->text->B, count));
  } else {
    EF_TRY(ef_exchange_serve(m->exchange, false));
  }
  return ef_exchange_close(m->exchange);
}

static ef_status run_stream(meter *m, const ef_stream *stream) {
  const ef_confidence_text *text = m->text;
  size_t size = (size_t)m->par->size, rank = (size_t)m->par->rank;
  size_t windows = ef_stream_windows(stream, text->T);
  size_t count = text->most > 0 && text->most < windows ? text->most : windows;
  size_t batches = (count + text->B - 1) / text->B;
  for (size_t first = 0; first < batches; first += size) EF_TRY(run_slot(m, stream, count, first + rank));
  return EF_OK;
}

/* Adds up `count` counts over ranks, in place. */
static ef_status add_up(ef_par *par, int64_t *counts, size_t count) {
  int64_t *all = NULL;
  ef_status status = ef_agree(par, EF_NEW(all, count * (size_t)par->size));
  if (status == EF_OK) status = ef_allgather_i64(par, counts, count, all);
  for (size_t i = 0; status == EF_OK && i < count; i++) {
    counts[i] = 0;
    for (size_t r = 0; r < (size_t)par->size; r++) counts[i] += all[r * count + i];
  }
  ef_free(all);
  return status;
}

static ef_status share_counts(ef_par *par, ef_confidence *c) {
  int64_t tokens = (int64_t)c->tokens;
  EF_TRY(add_up(par, c->left, c->thresholds * c->heads));
  EF_TRY(add_up(par, c->hits, c->thresholds * c->heads));
  EF_TRY(add_up(par, c->alone, c->heads));
  EF_TRY(add_up(par, &tokens, 1));
  c->tokens = (size_t)tokens;
  return EF_OK;
}

ef_status ef_confidence_measure(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                                const ef_confidence_text *text, const double *threshold, size_t thresholds,
                                ef_confidence *c) {
  *c = (ef_confidence){
      .heads = ef_dims_exit_count(&shard->dims) + 1, .thresholds = thresholds, .threshold = threshold};
  meter m = {.par = par, .k = kernels, .model = shard, .text = text, .c = c};
  ef_status status = create(&m);
  for (size_t i = 0; status == EF_OK && i < text->count; i++) status = run_stream(&m, &text->streams[i]);
  status = ef_agree(par, status); /* without experts the ranks meet here first */
  if (status == EF_OK) status = share_counts(par, c);
  release(&m);
  if (status != EF_OK) ef_confidence_free(c);
  return status;
}
