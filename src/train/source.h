/* Where training windows come from: one stream, a mixture of a cluster's own stream, text that a proxy wrote
 * (fusion/generated.h) and the general one, or the consecutive windows of a stream.
 */
#pragma once

#include "text/tokens.h"

typedef struct ef_source {
  const ef_stream *general;
  const ef_stream *own; /* NULL: none */
  double own_share;     /* probability that a window comes from `own` */
  uint64_t seed, unit;  /* every trained unit has a number of its own (train/unit.h) */
  /* NULL: windows start anywhere. Otherwise (B), borrowed: they are windows of ef_stream_window of `general`,
   * drawn uniformly, and their numbers are left here by every call. */
  size_t *drawn;
  const ef_stream *generated; /* NULL: none */
  double generated_share; /* probability that a window comes from `generated`; the others share the rest */
} ef_source;

/* Windows first .. first+B-1 of step `step`: ids and targets (B,T). A pure function of the source, step and
 * window numbers: micro-batches of one step may be drawn anywhere. EF_INPUT if a stream is too short. Local.
 */
ef_status ef_source_sample(const ef_source *source, size_t step, size_t first, size_t B, size_t T,
                           int32_t *ids, int32_t *targets);

/* The labels of those windows for the cross-entropy where `generated` has none: targets (B,T), and EF_IGNORE
 * in the windows that come from `generated`. A pure function as above. Local. */
void ef_source_labels(const ef_source *source, size_t step, size_t first, size_t B, size_t T,
                      const int32_t *targets, int32_t *labels);
