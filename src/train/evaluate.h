/* Evaluation by teacher forcing: every token of a stream is a target exactly once (BOS excepted).
 */
#pragma once

#include "model/loss.h"
#include "text/tokens.h"

/* Sums that add up over streams, batches and ranks. */
typedef struct ef_quality {
  double nll;    /* nats, summed */
  size_t tokens; /* scored */
  size_t hits;   /* arg max is the target */
  int64_t bytes; /* true bytes of the text that the tokens stand for */
} ef_quality;

void ef_quality_add(ef_quality *sum, const ef_quality *part);
double ef_log_perplexity(const ef_quality *q); /* nats per token; NaN without tokens */
double ef_token_accuracy(const ef_quality *q); /* 0..1 */
double ef_bits_per_byte(const ef_quality *q);

/* A quality as numbers, for part files and messages: fields are exact in doubles. Both return the end of the
 * row. */
enum { EF_QUALITY_FIELDS = 4 };
double *ef_quality_pack(const ef_quality *q, size_t count, double *row);
const double *ef_quality_unpack(const double *row, size_t count, ef_quality *q);

/* An evaluator: one EVAL pass for models of equal dims. */
typedef struct ef_evaluator {
  ef_pass *pass;
  size_t B, T;
  int32_t *ids, *targets; /* (B,T) owned */
  float *row_losses;      /* (B*T) owned */
  uint8_t *row_hits;      /* (B*T) borrowed, or NULL: set by whoever wants the hits of the rows */
} ef_evaluator;

/* `experts` as in ef_pass_create. EF_MACHINE. Local. */
ef_status ef_evaluator_create(const ef_dims *dims, const ef_kernels *kernels, size_t B, size_t T,
                              const ef_experts *experts, ef_evaluator *e);
void ef_evaluator_free(ef_evaluator *e);

/* Quality of `model` on `stream`: all windows, or at most `most` (not 0) evenly spread ones. bytes is filled
 * only when the whole stream is scored. The sum runs in the order of the windows. EF_MACHINE. Local. */
ef_status ef_evaluate(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t most,
                      ef_quality *quality);

/* Adds the quality on one batch: of the `count` evenly spread windows, those numbered first .. first+B-1.
 * Collective iff the experts are. */
ef_status ef_evaluate_batch(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t first,
                            size_t count, ef_quality *quality);
