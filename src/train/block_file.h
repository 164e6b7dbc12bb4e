/* A block of floats with the layout of a model's table (parameters, moments, gradients) as HDF5 datasets, one per
 * tensor: PREFIX/<Hugging Face name>.
 */
#pragma once

#include "model/table.h"
#include "store/h5.h"

/* Writes every tensor of the table. `block` NULL: this rank passes no data (collective files). shared_too false: this rank
 * passes data of its held experts only, another rank those of the shared tensors. description is a sentence such as
 * "parameter". Collective in a collective file: with the global list of tensors. */
ef_status ef_block_write(ef_h5 *file, const char *prefix, const ef_table *table, const float *block, bool shared_too,
                         const char *description);

/* Reads every tensor that is held. EF_CHECKPOINT names a missing tensor, a wrong shape or the first number that is not
 * finite. Local. */
ef_status ef_block_read(ef_h5 *file, const char *prefix, const ef_table *table, float *block);
