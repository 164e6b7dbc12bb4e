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
  if (status == EF_OK) {
    ef_experts experts = ef_exchange_experts(spread->exchange);
    status = ef_evaluator_create(&shard->dims, kernels, B, T, &experts, &spread->evaluator);
  }
  status = ef_agree(par, status);
  if (status != EF_OK) ef_spread_free(spread);
  return status;
}

void ef_spread_free(ef_spread *spread) {
  ef_evaluator_free(&spread->evaluator);
  ef_exchange_free(spread->exchange);
  ef_free(spread->load);
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

/* One slot: every rank has one batch or none. */
static ef_status run_slot(ef_spread *s, const ef_stream *stream, size_t count, size_t batch, size_t batches,
                          double *row) {
  bool mine = batch < batches;
  EF_TRY(ef_exchange_slot(s->exchange, mine ? batch : SIZE_MAX, NULL));
  ef_status status = EF_OK;
  if (mine) {
    ef_quality quality = {0};
    status = ef_evaluate_batch(&s->evaluator, s->model, stream, batch * s->evaluator.B, count, &quality);
    row[0] = quality.nll;
    row[1] = (double)quality.tokens;
    row[2] = (double)quality.hits;
    if (status == EF_OK) add_load(s);
  } else {
    status = ef_exchange_serve(s->exchange, false);
  }
  return status == EF_OK ? ef_exchange_close(s->exchange) : status;
}

ef_status ef_spread_evaluate(ef_spread *s, const ef_stream *stream, size_t most, ef_quality *quality) {
  *quality = (ef_quality){0};
  memset(s->load, 0, load_count(s->model) * sizeof *s->load);
  size_t size = (size_t)s->par->size, rank = (size_t)s->par->rank;
  size_t windows = ef_stream_windows(stream, s->evaluator.T);
  size_t count = most > 0 && most < windows ? most : windows;
  size_t batches = (count + s->evaluator.B - 1) / s->evaluator.B, slots = (batches + size - 1) / size;
  double *mine = NULL, *all = NULL;
  ef_status status = EF_NEW(mine, slots * FIELDS);
  if (status == EF_OK) status = EF_NEW(all, slots * FIELDS * size);
  EF_GO(ef_agree(s->par, status));
  EF_ASSERT(mine && all);
  for (size_t slot = 0; slot < slots; slot++) {
    EF_GO(run_slot(s, stream, count, slot * size + rank, batches, mine + slot * FIELDS));
  }
  EF_GO(ef_allgather_f64(s->par, mine, slots * FIELDS, all));
  for (size_t u = 0; u < batches; u++) {
    const double *row = all + ((u % size) * slots + u / size) * FIELDS;
    ef_quality part = {row[0], (size_t)row[1], (size_t)row[2], 0};
    ef_quality_add(quality, &part);
  }
  if (count == windows) quality->bytes = stream->bytes;
done:
  ef_free(mine);
  ef_free(all);
  return status;
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
