/* Confidence of the heads of a model: how many tokens would leave at which head, and how many of them right.
 *
 * A token's confidence at a head is the largest probability that the head gives. Under a threshold it leaves
 * at the first head whose confidence is at least the threshold, at the last head otherwise (multi-exit
 * inference by confidence, aeria.md section 0). Every head looks at the hidden states of the whole model, so
 * attention to tokens that left early is that of the full model.
 */
#pragma once

#include "par/par.h"
#include "step/exchange.h"
#include "text/tokens.h"

/* Counts, exact and the same on all ranks. Heads in order, the last one of the model included. */
typedef struct ef_confidence {
  size_t heads, thresholds, tokens;
  const double *threshold; /* (thresholds) in 0..1, borrowed */
  int64_t *left, *hits;    /* (thresholds, heads) tokens that leave there; of them, arg max is the target */
  int64_t *alone;          /* (heads) hits if every token left there */
  double seconds;          /* of the forward passes of this rank, measured; with `passed` its speed */
  size_t passed;           /* tokens that this rank's passes ran */
} ef_confidence;

/* What is looked at: at most `most` (0: all) evenly spread windows of T tokens of each stream, B together. */
typedef struct ef_confidence_text {
  const ef_stream *streams;
  size_t count, B, T, most;
} ef_confidence_text;

/* Measures `shard` (all experts on one rank, or spread as ef_exchange wants them). EF_MACHINE. Collective. */
ef_status ef_confidence_measure(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                                const ef_confidence_text *text, const double *threshold, size_t thresholds,
                                ef_confidence *confidence);
void ef_confidence_free(ef_confidence *confidence);
