/* The identity of a trained model: what a market profile carries, so that a price is not asked for another.
 */
#pragma once

#include "store/h5.h"

enum { EF_MODEL_HASH_BYTES = 33 };

/* XXH3-128 over names, shapes and bytes of all tensors of /model, in the order of their names, and its
 * config, as 32 hexadecimal digits: independent of how many ranks wrote the file and of what else is in it.
 * One tensor is held at a time. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_model_file_hash(ef_h5 *file, char out[EF_MODEL_HASH_BYTES]);

/* The same of the file PATH, of any kind with a model in it. Local. */
ef_status ef_model_path_hash(const char *path, char out[EF_MODEL_HASH_BYTES]);
