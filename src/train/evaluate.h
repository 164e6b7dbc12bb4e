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

/* An evaluator: one EVAL pass for models of equal dims. */
typedef struct ef_evaluator {
  ef_pass *pass;
  size_t B, T;
  int32_t *ids, *targets; /* (B,T) owned */
  float *row_losses;      /* (B*T) owned */
} ef_evaluator;

/* EF_MACHINE. Local. */
ef_status ef_evaluator_create(const ef_dims *dims, const ef_kernels *kernels, size_t B, size_t T, ef_evaluator *e);
void ef_evaluator_free(ef_evaluator *e);

/* Quality of `model` on the windows first, first+stride, ... (at most `most`, 0: all) of `stream`. bytes is filled only
 * when the whole stream is scored. The sum runs in the order of the windows. EF_MACHINE. Local. */
ef_status ef_evaluate(ef_evaluator *e, const ef_model *model, const ef_stream *stream, size_t first, size_t stride,
                      size_t most, ef_quality *quality);
