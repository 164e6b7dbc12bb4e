#include "model/weights.h"

#include "base/memory.h"

ef_status ef_weights_resolve(const ef_dims *dims, ef_weights *weights) {
  ef_status status = EF_OK;
  ef_table table = {0};
  size_t cells = (dims->L + 1) * EF_ROLE_COUNT;
  *weights = (ef_weights){0};
  EF_GO(ef_table_build(dims, 0, 0, &table));
  EF_GO(EF_NEW(weights->offset, cells));
  for (size_t i = 0; i < cells; i++) weights->offset[i] = SIZE_MAX;
  for (size_t i = 0; i < table.count; i++) {
    const ef_tensor *t = &table.tensors[i];
    if (t->expert < 0) weights->offset[(size_t)(t->layer + 1) * EF_ROLE_COUNT + t->role] = t->offset;
  }
done:
  ef_table_free(&table);
  return status;
}

void ef_weights_free(ef_weights *weights) {
  ef_free(weights->offset);
  *weights = (ef_weights){0};
}
