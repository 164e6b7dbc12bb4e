/* What a loss on features compares with: a stage of the teacher as it is, or after a LayerNorm without
 * parameters, because the norm of a residual stream grows with depth and would let the last stage dominate.
 */
#pragma once

#include "kernels/kernels.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct ef_target {
  bool normed;
  float *values;      /* (rows,width), read and written only if normed; so are the next two */
  float *mean, *rstd; /* (rows) */
} ef_target;

/* N(F), eps 1e-5, in `values`, or F itself. Local. */
static inline const float *ef_target_of(const ef_target *t, const ef_kernels *k, size_t rows, size_t width,
                                        const float *stage) {
  if (!t->normed) return stage;
  k->layernorm(rows, width, 1e-5f, stage, NULL, NULL, t->values, t->mean, t->rstd);
  return t->values;
}
