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
double ef_token_accuracy(const ef_quality *q) { return q->tokens ? (double)q->hits / (double)q->tokens : NAN; }
double ef_bits_per_byte(const ef_quality *q) { return q->bytes ? q->nll / log(2.0) / (double)q->bytes : NAN; }

ef_status ef_evaluator_create(const ef_dims *dims, const ef_kernels *kernels, size_t B, size_t T, ef_evaluator *e) {
  *e = (ef_evaluator){.B = B, .T = T};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(e->ids, B * T));
  EF_GO(EF_NEW(e->targets, B * T));
  EF_GO(EF_NEW(e->row_losses, B * T));
  EF_GO(ef_pass_create(dims, kernels, EF_PASS_EVAL, B, T, false, NULL, &e->pass));
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

/* One batch of n windows. The losses of its rows are summed window by window: the batch size leaves no trace. */
static ef_status evaluate_batch(ef_evaluator *e, const ef_model *model, size_t n, ef_quality *quality) {
  EF_TRY(ef_forward(e->pass, model, e->ids, n, e->T));
  ef_loss_spec spec = {.targets = e->targets, .tau = 1.0f};
  ef_loss_sums sums = {0};
  ef_loss(e->pass, model, &spec, NULL, NULL, e->row_losses, &sums);
  for (size_t b = 0; b < n; b++) {
    double nll = 0.0;
    for (size_t t = 0; t < e->T; t++) nll += (double)e->row_losses[b * e->T + t];
    quality->nll += nll;
  }
  quality->tokens += sums.tokens;
  quality->hits += sums.hits;
  return EF_OK;
}

ef_status ef_evaluate(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t first, size_t stride,
                      size_t most, ef_quality *quality) {
  *quality = (ef_quality){0};
  size_t windows = ef_stream_windows(stream, e->T), taken = 0, filled = 0;
  for (size_t w = first; w < windows && (most == 0 || taken < most); w += stride, taken++) {
    ef_stream_window(stream, e->T, w, e->ids + filled * e->T, e->targets + filled * e->T);
    if (++filled < e->B) continue;
    EF_TRY(evaluate_batch(e, model, filled, quality));
    filled = 0;
  }
  if (filled > 0) EF_TRY(evaluate_batch(e, model, filled, quality));
  if (first == 0 && stride == 1 && taken == windows) quality->bytes = stream->bytes;
  return EF_OK;
}
