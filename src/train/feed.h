/* What a step of the global model learns from: a batch, and perhaps a teacher of that batch.
 */
#pragma once

#include "model/loss.h"
#include "train/run.h"
#include "train/source.h"
#include "train/unit.h"

typedef struct ef_feed {
  void *ctx;
  /* Writes ids and targets (B,T) of micro-batch `micro` of step `step`, a pure function of both, and makes
   * the teacher ready for it. Called on the rank that runs the micro-batch. Local. */
  ef_status (*batch)(void *ctx, size_t step, size_t micro, int32_t *ids, int32_t *targets);
  const ef_teacher *teacher; /* NULL: none */
  float ce, kl, tau;         /* weights of the losses, both means over the counted tokens; temperature */
  const int32_t *labels;     /* (B,T) filled by batch: what the cross-entropy leaves out; NULL: nothing */
} ef_feed;

/* Windows drawn from a source, in micro-batches of (tune.micro_batch, global.context). */
typedef struct ef_text_feed {
  ef_source source;
  size_t B, T;
} ef_text_feed;

/* Windows of `text`, which is borrowed, from the random stream of `unit`. Local. */
ef_text_feed ef_text_feed_of(const ef_run *run, const ef_stream *text, uint64_t unit);
/* Cross-entropy alone on these windows; borrows `text`. Pure. */
ef_feed ef_text_feed_plain(ef_text_feed *text);
/* The next windows, for feeds that add a teacher. Local. */
ef_status ef_text_feed_batch(const ef_text_feed *text, size_t step, size_t micro, int32_t *ids,
                             int32_t *targets);
