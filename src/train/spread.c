#include "train/spread.h"

#include "base/memory.h"
#include <string.h>

enum { FIELDS = 3 };

static size_t load_count(const ef_model *model) { return ef_dims_moe_count(&model->dims) * model->dims.E; }

ef_status ef_spread_create(ef_par *par, const ef_kernels *kernels, const ef_model *shard, size_t B, size_t T,
                           ef_spread *spread) {
  *spread = (ef_spread){.par = par, .model = shard};
  ef_status status = ef_exchange_create(par, kernels, shard, B * T, false, &spread->exchange);
  if (status == EF_OK) status = EF_NEW(spread->load, load_count(shard));
  if (status == EF_OK) status = EF_NEW(spread->row_hits, B * T);
  if (status == EF_OK) {
    ef_experts experts = ef_exchange_experts(spread->exchange);
    status = ef_evaluator_create(&shard->dims, kernels, B, T, &experts, &spread->evaluator);
    spread->evaluator.row_hits = spread->row_hits;
  }
  status = ef_agree(par, status);
  if (status != EF_OK) ef_spread_free(spread);
  return status;
}

void ef_spread_free(ef_spread *spread) {
  ef_evaluator_free(&spread->evaluator);
  ef_exchange_free(spread->exchange);
  ef_free(spread->load);
  ef_free(spread->row_hits);
  *spread = (ef_spread){0};
}

/* Counts the tokens of the last forward. */
static void add_load(ef_spread *s) {
  const ef_dims *dims = &s->model->dims;
  int64_t *row = s->load;
  for (size_t l = 0; l < dims->L; l++) {
    if (!ef_dims_is_moe(dims, l)) continue;
    const size_t *load = ef_pass_load(s->evaluator.pass, l);
    for (size_t e = 0; e < dims->E; e++) *row++ += (int64_t)load[e];
  }
}

/* One evaluation: batch u is on rank u % size in slot u / size. */
typedef struct job {
  const ef_stream *stream;
  size_t count, batches, slots; /* windows; batches of them; batches of one rank, at most */
  ef_documents *documents;      /* NULL: scores by document are not wanted */
  size_t most;                  /* documents that one batch scores, at most */
  ef_quality *pieces;           /* (most) of a batch */
  double *cut, *cuts;           /* (most,EF_QUALITY_FIELDS) of this rank; of all ranks */
  double *mine, *all;           /* (slots,FIELDS) of this rank; of all ranks */
} job;

/* ---- documents ---------------------------------------------------------------------------------------- */

/* The tokens that a batch scores; its documents. */
static size_t span_of(const ef_spread *s, const job *j, size_t batch, size_t *first, ef_scored_rows *rows) {
  const ef_evaluator *e = &s->evaluator;
  size_t each = e->B * e->T, from = batch * each + 1, to = from + each;
  if (to > j->stream->count) to = j->stream->count;
  *rows = (ef_scored_rows){from, to, e->targets, e->row_losses, e->row_hits};
  return ef_documents_span(j->documents, from, to, first);
}

static ef_status open_documents(const ef_spread *s, job *j) {
  size_t first, size = (size_t)s->par->size;
  ef_scored_rows rows;
  EF_TRY(EF_CHECK(j->batches == 0 || j->documents->count > 0, EF_FAULT,
                  "a text of %zu tokens without a list of its documents", j->stream->count));
  for (size_t u = 0; u < j->batches; u++) {
    size_t count = span_of(s, j, u, &first, &rows);
    if (count > j->most) j->most = count;
  }
  EF_TRY(EF_NEW(j->pieces, j->most));
  EF_TRY(EF_NEW(j->cut, j->most * EF_QUALITY_FIELDS));
  return EF_NEW(j->cuts, j->most * EF_QUALITY_FIELDS * size);
}

static void cut_batch(const ef_spread *s, job *j, size_t batch) {
  ef_scored_rows rows;
  size_t first, count = span_of(s, j, batch, &first, &rows);
  ef_documents_cut(j->documents, &rows, j->pieces);
  ef_quality_pack(j->pieces, count, j->cut);
}

static void add_batch(const ef_spread *s, job *j, size_t batch, const double *cut) {
  ef_scored_rows rows;
  size_t first, count = span_of(s, j, batch, &first, &rows);
  ef_quality_unpack(cut, count, j->pieces);
  for (size_t i = 0; i < count; i++) ef_quality_add(&j->documents->quality[first + i], &j->pieces[i]);
}

/* The pieces of a slot's batches go to all ranks, which add them in the order of the batches. Collective. */
static ef_status add_slot(ef_spread *s, job *j, size_t slot) {
  size_t size = (size_t)s->par->size, row = j->most * EF_QUALITY_FIELDS;
  size_t first = slot * size, mine = first + (size_t)s->par->rank;
  if (mine < j->batches) cut_batch(s, j, mine);
  EF_TRY(ef_allgather_f64(s->par, j->cut, row, j->cuts));
  for (size_t r = 0; r < size && first + r < j->batches; r++) add_batch(s, j, first + r, j->cuts + r * row);
  return EF_OK;
}

/* ---- evaluation --------------------------------------------------------------------------------------- */

/* One slot: every rank has one batch or none. */
static ef_status run_slot(ef_spread *s, const job *j, size_t slot) {
  size_t batch = slot * (size_t)s->par->size + (size_t)s->par->rank;
  bool mine = batch < j->batches;
  EF_TRY(ef_exchange_slot(s->exchange, mine ? batch : SIZE_MAX, NULL));
  ef_status status = EF_OK;
  if (mine) {
    double *row = j->mine + slot * FIELDS;
    ef_quality quality = {0};
    status =
        ef_evaluate_batch(&s->evaluator, s->model, j->stream, batch * s->evaluator.B, j->count, &quality);
    row[0] = quality.nll;
    row[1] = (double)quality.tokens;
    row[2] = (double)quality.hits;
    if (status == EF_OK) add_load(s);
  } else {
    status = ef_exchange_serve(s->exchange, false);
  }
  return status == EF_OK ? ef_exchange_close(s->exchange) : status;
}

static ef_status open_job(const ef_spread *s, size_t most, job *j) {
  size_t size = (size_t)s->par->size, B = s->evaluator.B;
  size_t windows = ef_stream_windows(j->stream, s->evaluator.T);
  j->count = most > 0 && most < windows ? most : windows;
  j->batches = (j->count + B - 1) / B;
  j->slots = (j->batches + size - 1) / size;
  EF_TRY(EF_NEW(j->mine, j->slots * FIELDS));
  EF_TRY(EF_NEW(j->all, j->slots * FIELDS * size));
  return j->documents ? open_documents(s, j) : EF_OK;
}

static void free_job(job *j) {
  void *blocks[] = {j->pieces, j->cut, j->cuts, j->mine, j->all};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ef_free(blocks[i]);
}

static ef_status run_job(ef_spread *s, job *j, ef_quality *quality) {
  size_t size = (size_t)s->par->size;
  EF_ASSERT(j->mine && j->all);
  for (size_t slot = 0; slot < j->slots; slot++) {
    EF_TRY(run_slot(s, j, slot));
    if (j->documents) EF_TRY(add_slot(s, j, slot));
  }
  EF_TRY(ef_allgather_f64(s->par, j->mine, j->slots * FIELDS, j->all));
  for (size_t u = 0; u < j->batches; u++) {
    const double *row = j->all + ((u % size) * j->slots + u / size) * FIELDS;
    ef_quality_add(quality, &(ef_quality){row[0], (size_t)row[1], (size_t)row[2], 0});
  }
  return EF_OK;
}

static ef_status evaluate(ef_spread *s, const ef_stream *stream, size_t most, ef_documents *documents,
                          ef_quality *quality) {
  job j = {.stream = stream, .documents = documents};
  *quality = (ef_quality){0};
  memset(s->load, 0, load_count(s->model) * sizeof *s->load);
  ef_status status = ef_agree(s->par, open_job(s, most, &j));
  if (status == EF_OK) status = run_job(s, &j, quality);
  if (j.count == ef_stream_windows(stream, s->evaluator.T)) quality->bytes = stream->bytes;
  free_job(&j);
  return status;
}

ef_status ef_spread_evaluate(ef_spread *s, const ef_stream *stream, size_t most, ef_quality *quality) {
  return evaluate(s, stream, most, NULL, quality);
}

ef_status ef_spread_documents(ef_spread *s, const ef_stream *stream, ef_documents *documents,
                              ef_quality *quality) {
  return evaluate(s, stream, 0, documents, quality);
}

ef_status ef_spread_load(const ef_spread *spread, size_t *load) {
  size_t n = load_count(spread->model), size = (size_t)spread->par->size;
  int64_t *all = NULL;
  EF_TRY(ef_agree(spread->par, EF_NEW(all, n * size)));
  ef_status status = ef_allgather_i64(spread->par, spread->load, n, all);
  for (size_t i = 0; i < n; i++) {
    load[i] = 0;
    for (size_t r = 0; r < size; r++) load[i] += (size_t)all[r * n + i];
  }
  ef_free(all);
  return status;
}
