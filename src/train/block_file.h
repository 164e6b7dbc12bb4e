/* A block of floats with the layout of a model's table (parameters, moments, gradients) as HDF5 datasets, one
 * per tensor: PREFIX/<Hugging Face name>.
 */
#pragma once

#include "model/table.h"
#include "store/h5.h"

/* Which tensors this rank passes: ef_block_write is collective over the ranks of the file, with equal
 * arguments but these. */
typedef struct ef_block_share {
  bool shared;  /* the shared tensors (one rank of a collective file) */
  bool experts; /* the routed experts that are held here */
} ef_block_share;

#define EF_BLOCK_ALL ((ef_block_share){true, true}) /* a serial file */

/* Writes every tensor of the table; without `routed` the routed experts are left out on all ranks (frozen
 * experts have no moments). description is a sentence such as "parameter". Collective in a collective file.
 */
ef_status ef_block_write(ef_h5 *file, const char *prefix, const ef_table *table, const float *block,
                         ef_block_share share, bool routed, const char *description);

/* Reads every tensor that is held, without `routed` the shared ones only. EF_CHECKPOINT names a missing
 * tensor, a wrong shape or the first number that is not finite. Local. */
ef_status ef_block_read(ef_h5 *file, const char *prefix, const ef_table *table, bool routed, float *block);
