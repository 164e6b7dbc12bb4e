#include "train/model_file.h"

#include "base/memory.h"
#include "model/hf.h"
#include "step/shard.h"
#include "train/block_file.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 256 };

static void path_of(const ef_tensor *tensor, char path[PATH_BYTES]) {
  snprintf(path, PATH_BYTES, "/model/%s", tensor->name);
}

/* ---- source --------------------------------------------------------------------------------- */

ef_status ef_model_source_make(const ef_model *model, ef_model_source *source) {
  *source = (ef_model_source){0};
  ef_status status;
  EF_GO(ef_hf_write_config(&model->dims, &source->config));
  EF_GO(EF_NEW(source->tensors, model->table.count));
  for (size_t i = 0; i < model->table.count; i++) {
    source->tensors[i].dtype = EF_DT_F32;
    memcpy(source->tensors[i].name, model->table.tensors[i].name, sizeof source->tensors[i].name);
  }
done:
  if (status != EF_OK) ef_model_source_free(source);
  return status;
}

void ef_model_source_free(ef_model_source *source) {
  if (!source) return;
  ef_free(source->config);
  ef_free(source->tensors);
  ef_free(source->tokenizer);
  *source = (ef_model_source){0};
}

/* ---- writing -------------------------------------------------------------------------------- */

static ef_status write_attributes(ef_h5 *file, const ef_tensor *tensor, const ef_origin *origin) {
  char path[PATH_BYTES];
  path_of(tensor, path);
  EF_TRY(ef_h5_set_text(file, path, "dtype", ef_dtype_name(origin->dtype)));
  EF_TRY(ef_h5_set_int(file, path, "layer", tensor->layer));
  EF_TRY(ef_h5_set_int(file, path, "expert", tensor->expert));
  if (strcmp(origin->name, tensor->name) == 0) return EF_OK;
  return ef_h5_set_text(file, path, "stored_name", origin->name);
}

ef_status ef_model_file_write(ef_h5 *file, const ef_model *model, const float *params, bool shared_too,
                              const ef_model_source *source) {
  ef_block_share share = {.shared = params && shared_too, .experts = params != NULL};
  EF_TRY(ef_block_write(file, "/model", &model->table, params, share, true, "parameter"));
  EF_TRY(ef_h5_set_text(file, "/model", "config", source->config));
  for (size_t i = 0; i < model->table.count; i++) {
    EF_TRY(write_attributes(file, &model->table.tensors[i], &source->tensors[i]));
  }
  if (!source->tokenizer) return EF_OK;
  ef_h5_array array = {.path = "/tokenizer",
                       .type = EF_H5_U8,
                       .rank = 1,
                       .shape = {source->tokenizer_bytes},
                       .description = "bytes of a SentencePiece model file",
                       .units = "1",
                       .dims = "byte"};
  return ef_h5_write(file, &array, params && shared_too ? source->tokenizer : NULL);
}

ef_status ef_model_file_write_made(ef_h5 *file, const ef_model *model) {
  ef_model_source source;
  EF_TRY(ef_model_source_make(model, &source));
  ef_status status = ef_model_file_write(file, model, model->params, true, &source);
  ef_model_source_free(&source);
  return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

static ef_status read_config(ef_h5 *file, char **config) {
  *config = NULL;
  EF_TRY(EF_CHECK(ef_h5_has(file, "/model"), EF_CHECKPOINT, "holds no model (group /model)"));
  return ef_h5_get_text(file, "/model", "config", config);
}

ef_status ef_model_file_dims(ef_h5 *file, ef_dims *dims) {
  char *config;
  EF_TRY(read_config(file, &config));
  ef_status status = ef_hf_read_config(config, dims);
  ef_free(config);
  if (status == EF_INPUT) status = ef_context(EF_CHECKPOINT, "attribute config of /model");
  return status;
}

/* Checks a dataset of /model against the table. */
static ef_status check_dataset(void *ctx, const char *path, const ef_h5_array *array) {
  const ef_table *table = *(const ef_table *const *)ctx;
  const ef_tensor *tensor = ef_table_find_name(table, path + strlen("/model/"));
  EF_TRY(EF_CHECK(tensor != NULL, EF_CHECKPOINT, "%s: the model has no such tensor", path));
  bool same = array->type == EF_H5_F32 && array->rank == tensor->rank;
  for (size_t i = 0; same && i < tensor->rank; i++) same = array->shape[i] == tensor->shape[i];
  return EF_CHECK(same, EF_CHECKPOINT, "%s: is not float32 of the shape that config asks for", path);
}

static ef_status check_tensors(ef_h5 *file, const ef_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    char path[PATH_BYTES];
    path_of(&table->tensors[i], path);
    EF_TRY(EF_CHECK(ef_h5_has(file, path), EF_CHECKPOINT, "%s: the tensor is missing", path));
  }
  return ef_h5_visit(file, "/model", check_dataset, &table);
}

ef_status ef_model_file_read(ef_h5 *file, ef_model *model) {
  EF_TRY(check_tensors(file, &model->table));
  return ef_block_read(file, "/model", &model->table, true, model->params);
}

static bool has_attribute(ef_h5 *file, const char *path, const char *name, char **text) {
  return ef_h5_get_text(file, path, name, text) == EF_OK;
}

static ef_status read_origin(ef_h5 *file, const ef_tensor *tensor, ef_origin *origin) {
  char path[PATH_BYTES], *text = NULL;
  path_of(tensor, path);
  EF_TRY(ef_h5_get_text(file, path, "dtype", &text));
  ef_status status =
      EF_CHECK(ef_dtype_find(text, &origin->dtype), EF_CHECKPOINT, "%s: unknown dtype %.20s", path, text);
  ef_free(text);
  EF_TRY(status);
  text = NULL;
  bool renamed = has_attribute(file, path, "stored_name", &text);
  snprintf(origin->name, sizeof origin->name, "%s", renamed ? text : tensor->name);
  ef_free(text);
  return EF_OK;
}

static ef_status read_tokenizer(ef_h5 *file, ef_model_source *source) {
  if (!ef_h5_has(file, "/tokenizer")) return EF_OK;
  ef_h5_array array = {.path = "/tokenizer"};
  EF_TRY(ef_h5_describe(file, array.path, &array));
  EF_TRY(EF_CHECK(array.type == EF_H5_U8 && array.rank == 1 && array.shape[0] > 0, EF_CHECKPOINT,
                  "/tokenizer: is not a list of bytes"));
  char *bytes;
  EF_TRY(EF_NEW(bytes, array.shape[0]));
  source->tokenizer = bytes;
  source->tokenizer_bytes = array.shape[0];
  array.path = "/tokenizer";
  return ef_h5_read(file, &array, bytes);
}

ef_status ef_model_file_shard(ef_h5 *file, const ef_par *par, ef_model *shard) {
  ef_dims dims;
  EF_TRY(ef_model_file_dims(file, &dims));
  EF_TRY(ef_shard_create(par, &dims, shard));
  return ef_model_file_read(file, shard);
}

ef_status ef_model_load_shard(const char *path, const ef_par *par, ef_model *shard) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  ef_status status = ef_model_file_shard(file, par, shard);
  ef_h5_close(file);
  return status == EF_OK ? EF_OK : ef_context(status, "%s", path);
}

ef_status ef_model_file_source(ef_h5 *file, const ef_table *table, ef_model_source *source) {
  *source = (ef_model_source){0};
  ef_status status;
  EF_GO(read_config(file, &source->config));
  EF_GO(EF_NEW(source->tensors, table->count));
  for (size_t i = 0; i < table->count; i++) EF_GO(read_origin(file, &table->tensors[i], &source->tensors[i]));
  EF_GO(read_tokenizer(file, source));
done:
  if (status != EF_OK) ef_model_source_free(source);
  return status;
}

/* ---- whole files ---------------------------------------------------------------------------- */

static ef_status load_from(ef_h5 *file, ef_model *model, ef_model_source *source) {
  ef_dims dims;
  EF_TRY(ef_model_file_dims(file, &dims));
  EF_TRY(ef_model_create(&dims, model));
  EF_TRY(ef_model_file_read(file, model));
  return source ? ef_model_file_source(file, &model->table, source) : EF_OK;
}

ef_status ef_model_load(const char *path, ef_model *model, ef_model_source *source) {
  *model = (ef_model){0};
  if (source) *source = (ef_model_source){0};
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  ef_status status = load_from(file, model, source);
  ef_h5_close(file);
  if (status == EF_OK) return EF_OK;
  ef_model_free(model);
  ef_model_source_free(source);
  return strstr(ef_message(), path) ? status : ef_context(status, "%s", path);
}

ef_status ef_model_save(const char *path, const ef_model *model, const ef_model_source *source) {
  ef_h5_header header = {.kind = "model", .deck = "", .seed = 0, .ranks = 1};
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  ef_status status = ef_model_file_write(file, model, model->params, true, source);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}
