/* The set of one model, its experts perhaps spread over ranks. */
#include "base/memory.h"
#include "model/topk.h"
#include "par/tags.h"
#include "rivals/logits.h"
#include "step/exchange.h"
#include "store/safetensors.h"

/* Buffers of one making. */
typedef struct maker {
  ef_par *par;
  const ef_kernels *k;
  const ef_model *model;
  const ef_samples *samples;
  ef_logit_recipe recipe;
  ef_exchange *exchange; /* NULL: dense */
  ef_pass *pass;
  int32_t *ids, *targets; /* (B,T) */
  float *logits, *losses; /* (EF_LOGIT_ROWS,V), (B*T) */
  ef_logit_set *set;
} maker;

/* ---- create and free ----------------------------------------------------------------------------------- */

static ef_status create_buffers(maker *m) {
  size_t B = m->recipe.B, T = m->samples->T, V = m->model->dims.V;
  ef_experts experts = {0};
  if (m->exchange) experts = ef_exchange_experts(m->exchange);
  EF_TRY(EF_CHECK(m->recipe.k > 0 && m->recipe.k <= V, EF_FAULT, "%zu of %zu logits", m->recipe.k, V));
  EF_TRY(EF_NEW(m->ids, B * T));
  EF_TRY(EF_NEW(m->targets, B * T));
  EF_TRY(EF_NEW(m->logits, EF_LOGIT_ROWS * V));
  EF_TRY(EF_NEW(m->losses, B * T));
  EF_TRY(ef_logit_set_create(m->samples, m->recipe.k, m->set));
  return ef_pass_create(&m->model->dims, m->k, EF_PASS_EVAL, B, T, false, m->exchange ? &experts : NULL,
                        &m->pass);
}

static ef_status create(maker *m) {
  size_t R = m->recipe.B * m->samples->T;
  if (m->model->dims.E) EF_TRY(ef_exchange_create(m->par, m->k, m->model, R, false, &m->exchange));
  return ef_agree(m->par, create_buffers(m));
}

static void release(maker *m) {
  ef_pass_free(m->pass);
  ef_exchange_free(m->exchange);
  void *blocks[] = {m->ids, m->targets, m->logits, m->losses};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ef_free(blocks[i]);
}

/* ---- one batch ----------------------------------------------------------------------------------------- */

static void keep_token(maker *m, const float *logits, size_t token) {
  size_t k = m->recipe.k;
  float *kept = m->set->logit + token * k;
  ef_top_k(m->model->dims.V, k, logits, m->set->index + token * k, kept);
  for (size_t i = 0; m->recipe.half && i < k; i++) kept[i] = ef_bf16_to_f32(ef_bf16_from_f32(kept[i]));
}

/* Rows in blocks; scored tokens are numbered from `token` on. */
static void keep_rows(maker *m, size_t rows, size_t token) {
  size_t V = m->model->dims.V;
  EF_ASSERT(m->targets && m->losses);
  for (size_t row = 0; row < rows; row += EF_LOGIT_ROWS) {
    size_t n = rows - row < EF_LOGIT_ROWS ? rows - row : EF_LOGIT_ROWS;
    ef_logits(m->pass, m->model, row, n, m->logits);
    m->k->cross_entropy(n, V, m->logits, m->targets + row, 1.0f, m->losses + row, NULL, NULL);
    for (size_t r = 0; r < n; r++) {
      if (m->targets[row + r] != EF_IGNORE) keep_token(m, m->logits + r * V, token++);
    }
  }
}

static void keep_losses(maker *m, size_t window, size_t count) {
  const size_t *first = m->samples->first, T = m->samples->T;
  EF_ASSERT(m->losses && m->set->loss);
  for (size_t b = 0; b < count; b++) {
    size_t tokens = first[window + b + 1] - first[window + b];
    double sum = 0.0;
    for (size_t t = 0; t < T; t++) sum += (double)m->losses[b * T + t];
    m->set->loss[window + b] = tokens > 0 ? (float)(sum / (double)tokens) : 0.0f;
  }
}

static ef_status run_batch(maker *m, size_t batch) {
  const ef_samples *s = m->samples;
  size_t window = batch * m->recipe.B, n = 0;
  for (; n < m->recipe.B && window + n < s->windows; n++) {
    ef_stream_window(s->text, s->T, window + n, m->ids + n * s->T, m->targets + n * s->T);
  }
  EF_TRY(ef_forward(m->pass, m->model, m->ids, n, s->T));
  keep_rows(m, n * s->T, s->first[window]);
  keep_losses(m, window, n);
  return EF_OK;
}

/* ---- all batches --------------------------------------------------------------------------------------- */

/* Every rank has one batch of the slot, or none and then serves its experts. */
static ef_status run_slot(maker *m, size_t batch, size_t batches) {
  bool mine = batch < batches;
  if (!m->exchange) return mine ? run_batch(m, batch) : EF_OK;
  EF_TRY(ef_exchange_slot(m->exchange, mine ? batch : SIZE_MAX, NULL));
  EF_TRY(mine ? run_batch(m, batch) : ef_exchange_serve(m->exchange, false));
  return ef_exchange_close(m->exchange);
}

static ef_status move(ef_par *par, int from, void *data, size_t bytes) {
  if (bytes == 0) return EF_OK;
  return par->rank == 0 ? ef_recv(par, from, EF_TAG_LOGITS, data, bytes)
                        : ef_send(par, 0, EF_TAG_LOGITS, data, bytes);
}

/* The root collects the batches that other ranks ran. */
static ef_status collect(maker *m, size_t batches) {
  const ef_logit_set *set = m->set;
  size_t B = m->recipe.B, k = m->recipe.k;
  for (size_t u = 0; u < batches; u++) {
    int owner = (int)(u % (size_t)m->par->size);
    if (owner == 0 || (m->par->rank != 0 && m->par->rank != owner)) continue;
    size_t window = u * B, next = window + B < set->windows ? window + B : set->windows;
    size_t at = m->samples->first[window] * k, count = m->samples->first[next] * k - at;
    EF_TRY(move(m->par, owner, set->index + at, count * sizeof *set->index));
    EF_TRY(move(m->par, owner, set->logit + at, count * sizeof *set->logit));
    EF_TRY(move(m->par, owner, set->loss + window, (next - window) * sizeof *set->loss));
  }
  return EF_OK;
}

ef_status ef_logit_set_make(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                            const ef_samples *samples, const ef_logit_recipe *recipe, ef_logit_set *set) {
  *set = (ef_logit_set){0};
  maker m = {.par = par, .k = kernels, .model = shard, .samples = samples, .recipe = *recipe, .set = set};
  size_t size = (size_t)par->size, batches = (samples->windows + recipe->B - 1) / recipe->B;
  ef_status status = create(&m);
  for (size_t first = 0; status == EF_OK && first < batches; first += size) {
    status = run_slot(&m, first + (size_t)par->rank, batches);
  }
  status = ef_agree(par, status); /* without experts the ranks meet here first */
  if (status == EF_OK) status = collect(&m, batches);
  release(&m);
  if (status != EF_OK) ef_logit_set_free(set);
  return status;
}
