#include "train/evaluate.h"

#include "base/memory.h"
#include <math.h>

void ef_quality_add(ef_quality *sum, const ef_quality *part) {
  sum->nll += part->nll;
  sum->tokens += part->tokens;
  sum->hits += part->hits;
  sum->bytes += part->bytes;
}

double ef_log_perplexity(const ef_quality *q) { return q->tokens ? q->nll / (double)q->tokens : NAN; }
double ef_token_accuracy(const ef_quality *q) {
  return q->tokens ? (double)q->hits / (double)q->tokens : NAN;
}
double ef_bits_per_byte(const ef_quality *q) { return q->bytes ? q->nll / log(2.0) / (double)q->bytes : NAN; }

double *ef_quality_pack(const ef_quality *q, size_t count, double *row) {
  for (size_t i = 0; i < count; i++) {
    *row++ = q[i].nll;
    *row++ = (double)q[i].tokens;
    *row++ = (double)q[i].hits;
    *row++ = (double)q[i].bytes;
  }
  return row;
}

const double *ef_quality_unpack(const double *row, size_t count, ef_quality *q) {
  for (size_t i = 0; i < count; i++, row += EF_QUALITY_FIELDS) {
    q[i] = (ef_quality){row[0], (size_t)row[1], (size_t)row[2], (int64_t)row[3]};
  }
  return row;
}

ef_status ef_evaluator_create(const ef_dims *dims, const ef_kernels *kernels, size_t B, size_t T,
                              const ef_experts *experts, ef_evaluator *e) {
  *e = (ef_evaluator){.B = B, .T = T};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(e->ids, B * T));
  EF_GO(EF_NEW(e->targets, B * T));
  EF_GO(EF_NEW(e->row_losses, B * T));
  EF_GO(ef_pass_create(dims, kernels, EF_PASS_EVAL, B, T, false, experts, &e->pass));
done:
  if (status != EF_OK) ef_evaluator_free(e);
  return status;
}

void ef_evaluator_free(ef_evaluator *e) {
  ef_pass_free(e->pass);
  ef_free(e->ids);
  ef_free(e->targets);
  ef_free(e->row_losses);
  *e = (ef_evaluator){0};
}

ef_status ef_evaluate_batch(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t first,
                            size_t count, ef_quality *quality) {
  size_t n = 0, T = e->T, windows = ef_stream_windows(stream, T);
  for (; n < e->B && first + n < count; n++) {
    ef_stream_window(stream, T, (first + n) * windows / count, e->ids + n * T, e->targets + n * T);
  }
  EF_TRY(ef_forward(e->pass, model, e->ids, n, T));
  ef_loss_spec spec = {.targets = e->targets, .tau = 1.0f, .row_hits = e->row_hits};
  ef_loss_sums sums = {0};
  ef_loss(e->pass, model, &spec, NULL, NULL, e->row_losses, &sums);
  double nll = 0.0;
  for (size_t i = 0; i < n * T; i++) nll += (double)e->row_losses[i];
  ef_quality_add(quality, &(ef_quality){nll, sums.tokens, sums.hits, 0});
  return EF_OK;
}

ef_status ef_evaluate(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t most,
                      ef_quality *quality) {
  *quality = (ef_quality){0};
  size_t windows = ef_stream_windows(stream, e->T);
  size_t count = most > 0 && most < windows ? most : windows;
  for (size_t first = 0; first < count; first += e->B) {
    EF_TRY(ef_evaluate_batch(e, model, stream, first, count, quality));
  }
  if (count == windows) quality->bytes = stream->bytes;
  return EF_OK;
}
