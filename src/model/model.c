#include "model/model.h"

#include "base/memory.h"

ef_status ef_model_create_shard(const ef_dims *dims, size_t first, size_t count, ef_model *model) {
  size_t held = ef_dims_held(dims);
  *model = (ef_model){.dims = *dims};
  EF_TRY(ef_dims_check(dims));
  EF_TRY(EF_CHECK(first <= held && count <= held - first, EF_FAULT, "a shard of experts %zu to %zu of %zu",
                  first, first + count, held));
  EF_TRY(ef_table_build(dims, first, count, &model->table));
  ef_status status = EF_NEW(model->params, model->table.floats);
  if (status != EF_OK) ef_model_free(model);
  return status;
}

ef_status ef_model_create(const ef_dims *dims, ef_model *model) {
  return ef_model_create_shard(dims, 0, ef_dims_held(dims), model);
}

void ef_model_free(ef_model *model) {
  if (!model) return;
  ef_free(model->params);
  ef_table_free(&model->table);
  *model = (ef_model){0};
}

float *ef_model_tensor(const ef_model *model, ef_role role, int layer, int expert) {
  const ef_tensor *t = ef_table_find(&model->table, role, layer, expert);
  return t && t->offset != SIZE_MAX ? model->params + t->offset : NULL;
}
