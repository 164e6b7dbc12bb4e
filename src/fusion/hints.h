/* Hints, stage by stage (FitNets, arXiv 1412.6550, with a linear regressor; ablation A2 of deepfusion.md
 * section 6.4): features without a view of the other stages.
 *
 *   F'_j = F_j^S H_j^T + c_j          H_j (D_T,D_S), c_j (D_T), token by token
 *   L    = sum_j 1/(B T D_T) |F'_j - N(F_j^T)|^2
 */
#pragma once

#include "base/status.h"
#include "kernels/kernels.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ef_hints_shape {
  size_t student, teacher, J; /* D_S, D_T, stages */
  bool normed;                /* N is a LayerNorm without parameters; else the identity */
} ef_hints_shape;

typedef struct ef_hints ef_hints; /* opaque */

/* For batches of `rows` = B*T tokens. EF_DECK if a size is 0. EF_MACHINE. Local. */
ef_status ef_hints_create(const ef_hints_shape *shape, const ef_kernels *kernels, size_t rows,
                          ef_hints **hints);
void ef_hints_free(ef_hints *hints);                             /* NULL is accepted */
size_t ef_hints_bytes(const ef_hints_shape *shape, size_t rows); /* what ef_hints_create takes */

size_t ef_hints_params(const ef_hints_shape *shape); /* floats of the block: J (D_T D_S + D_T) */
float *ef_hints_block(ef_hints *hints);              /* H_1, c_1, H_2, ...; owned by the hints */

/* H_j ~ N(0, 1/D_S) from the stream (seed, EF_RNG_INIT, unit, j), c_j = 0. Local. */
void ef_hints_init(ef_hints *hints, uint64_t seed, uint64_t unit);

/* The loss, and gradients of scale * loss; arguments as those of ef_vaa_loss. Local. */
double ef_hints_loss(ef_hints *hints, const float *const *student, const float *const *teacher, float scale,
                     float *grads, float *const *dtaps);
