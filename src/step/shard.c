#include "step/shard.h"

#include "par/units.h"

ef_status ef_shard_create(const ef_par *par, const ef_dims *dims, ef_model *model) {
  size_t first = ef_block_first(dims->E, par->size, par->rank);
  size_t next = ef_block_first(dims->E, par->size, par->rank + 1);
  return ef_model_create_shard(dims, first, next - first, model);
}
