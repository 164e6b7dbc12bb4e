/* Where each shared tensor stands in a block of parameters, resolved once per pass: an array look-up serves
 * the hot path. The offsets hold for parameters and gradients of every shard of models with the same dims,
 * because the shared tensors come first in each.
 */
#pragma once

#include "model/table.h"

typedef struct ef_weights {
  size_t *offset; /* owned: (L+1, EF_ROLE_COUNT), row 0 outside the layers; SIZE_MAX: the model has none */
} ef_weights;

/* EF_MACHINE. ef_weights_free accepts a zeroed struct. Local. */
ef_status ef_weights_resolve(const ef_dims *dims, ef_weights *weights);
void ef_weights_free(ef_weights *weights);

/* The tensor in a block of parameters (or of gradients), NULL if the model has none such; layer -1: outside.
 */
static inline const float *ef_weight(const ef_weights *w, const float *params, int layer, ef_role role) {
  size_t offset = w->offset[(size_t)(layer + 1) * EF_ROLE_COUNT + role];
  return offset == SIZE_MAX ? NULL : params + offset;
}
static inline float *ef_gradient(const ef_weights *w, float *grads, int layer, ef_role role) {
  size_t offset = w->offset[(size_t)(layer + 1) * EF_ROLE_COUNT + role];
  return offset == SIZE_MAX ? NULL : grads + offset;
}
