#include "train/hf_folder.h"

#include "base/file.h"
#include "base/memory.h"
#include "model/hf.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, CONFIG_BYTES = 60000 };

static ef_status join(const char *folder, const char *name, char path[PATH_BYTES]) {
  int n = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
  return EF_CHECK(n > 0 && n < PATH_BYTES, EF_MACHINE, "%.60s...: path too long", folder);
}

/* ---- import --------------------------------------------------------------------------------- */

static ef_status import_config(const char *folder, ef_dims *dims, char **config) {
  char path[PATH_BYTES];
  size_t size;
  EF_TRY(join(folder, "config.json", path));
  EF_TRY(ef_file_read(path, EF_INPUT, config, &size));
  EF_TRY(EF_CHECK(strlen(*config) == size, EF_INPUT, "%s: holds a NUL byte", path));
  EF_TRY(EF_CHECK(size <= CONFIG_BYTES, EF_INPUT, "%s: longer than the %d bytes that a checkpoint can carry",
                  path, CONFIG_BYTES));
  ef_status status = ef_hf_read_config(*config, dims);
  return status == EF_OK ? EF_OK : ef_context(status, "%s", path);
}

static ef_status import_tokenizer(const char *folder, ef_model_source *source) {
  char path[PATH_BYTES], *bytes;
  EF_TRY(join(folder, "tokenizer.model", path));
  if (!ef_file_exists(path)) return EF_OK;
  EF_TRY(ef_file_read(path, EF_INPUT, &bytes, &source->tokenizer_bytes));
  source->tokenizer = bytes;
  return EF_OK;
}

/* The tensor of the model that a stored name means, or NULL. */
static const ef_tensor *meant(const ef_model *model, const char *stored) {
  const ef_tensor *tensor = ef_table_find_name(&model->table, stored);
  for (size_t i = 0; !tensor && i < model->table.count; i++) {
    if (ef_hf_same_name(&model->dims, stored, model->table.tensors[i].name))
      tensor = &model->table.tensors[i];
  }
  return tensor;
}

static ef_status check_shape(const ef_tensor *tensor, const ef_st_tensor *stored) {
  bool same = stored->rank == tensor->rank;
  for (size_t i = 0; same && i < tensor->rank; i++) same = stored->shape[i] == tensor->shape[i];
  if (same) return EF_OK;
  return ef_fail(EF_INPUT, __FILE__, __LINE__,
                 "%s: its shape (%zu dimensions, %zu elements) is not %zux%zu as config.json says",
                 stored->name, stored->rank, stored->count, tensor->shape[0],
                 tensor->rank > 1 ? tensor->shape[1] : 1);
}

static ef_status import_tensor(const ef_st *reader, const ef_st_tensor *stored, ef_model *model,
                               ef_origin *origins) {
  const ef_tensor *tensor = meant(model, stored->name);
  if (!tensor && ef_hf_ignored_name(&model->dims, stored->name)) return EF_OK;
  EF_TRY(EF_CHECK(tensor != NULL, EF_INPUT, "%s: a %s has no such tensor", stored->name,
                  ef_family_name(model->dims.family)));
  ef_origin *origin = &origins[tensor - model->table.tensors];
  EF_TRY(EF_CHECK(!origin->name[0], EF_INPUT, "%s and %s are the same tensor", stored->name, origin->name));
  EF_TRY(EF_CHECK(strlen(stored->name) < sizeof origin->name, EF_INPUT, "%.60s...: name too long",
                  stored->name));
  EF_TRY(check_shape(tensor, stored));
  origin->dtype = stored->dtype;
  snprintf(origin->name, sizeof origin->name, "%s", stored->name);
  return ef_st_read_f32(reader, stored, true, model->params + tensor->offset);
}

static ef_status import_tensors(const char *folder, ef_model *model, ef_origin *origins) {
  ef_st *reader = NULL;
  EF_TRY(ef_st_open(folder, &reader));
  ef_status status = EF_OK;
  for (size_t i = 0; status == EF_OK && i < ef_st_count(reader); i++) {
    status = import_tensor(reader, ef_st_at(reader, i), model, origins);
  }
  ef_st_close(reader);
  for (size_t i = 0; status == EF_OK && i < model->table.count; i++) {
    status = EF_CHECK(origins[i].name[0], EF_INPUT, "the tensor %s is missing", model->table.tensors[i].name);
  }
  return status == EF_OK || strstr(ef_message(), folder) ? status : ef_context(status, "%s", folder);
}

ef_status ef_model_import(const char *folder, ef_model *model, ef_model_source *source) {
  *model = (ef_model){0};
  *source = (ef_model_source){0};
  ef_dims dims;
  ef_status status;
  EF_GO(import_config(folder, &dims, &source->config));
  EF_GO(ef_model_create(&dims, model));
  EF_GO(EF_NEW(source->tensors, model->table.count));
  EF_GO(import_tensors(folder, model, source->tensors));
  EF_GO(import_tokenizer(folder, source));
done:
  if (status != EF_OK) {
    ef_model_free(model);
    ef_model_source_free(source);
  }
  return status;
}

/* ---- export --------------------------------------------------------------------------------- */

static ef_status export_tensors(const ef_model *model, const ef_model_source *source, const char *path) {
  ef_st_write *list;
  EF_TRY(EF_NEW(list, model->table.count));
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *tensor = &model->table.tensors[i];
    list[i] = (ef_st_write){.name = source->tensors[i].name,
                            .dtype = source->tensors[i].dtype,
                            .rank = tensor->rank,
                            .data = model->params + tensor->offset};
    for (size_t d = 0; d < tensor->rank; d++) list[i].shape[d] = tensor->shape[d];
  }
  ef_status status = ef_st_save(path, list, model->table.count);
  ef_free(list);
  return status;
}

ef_status ef_model_export(const ef_model *model, const ef_model_source *source, const char *folder) {
  char path[PATH_BYTES];
  EF_TRY(ef_folder_make(folder));
  EF_TRY(join(folder, "model.safetensors", path));
  EF_TRY(export_tensors(model, source, path));
  EF_TRY(join(folder, "config.json", path));
  EF_TRY(ef_file_write(path, source->config, strlen(source->config)));
  if (!source->tokenizer) return EF_OK;
  EF_TRY(join(folder, "tokenizer.model", path));
  return ef_file_write(path, source->tokenizer, source->tokenizer_bytes);
}
