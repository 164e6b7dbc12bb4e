/* Import, export and checkpoints: the same names, types and bytes come back, and damage is refused by name.
 */
#include "test_cli.h"

#include "base/file.h"
#include "model/hf.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(model_files, .init = set_up, .fini = tear_down);

static void expect_round_trip(const char *source) {
  const char *file = in(folder, "m.h5"), *out = in(folder, "out");
  cr_assert_eq(RUN_QUIET("import", source, file), EF_OK, "%s: %s", source, ef_message());
  cr_assert_eq(RUN_QUIET("export", file, out), EF_OK, "%s", ef_message());
  expect_same_folders(source, out);
}

Test(model_files, oracle_models_come_back) {
  static const char *const names[] = {"gpt2", "llama", "qwen2", "qwen2_moe", "deepseek_moe"};
  for (size_t i = 0; i < COUNT(names); i++) {
    char path[PATH];
    if (!test_oracle_path(path, sizeof path, names[i])) cr_skip_test("no reference models here");
    expect_round_trip(path);
  }
}

Test(model_files, narrow_types_come_back) {
  static const ef_dtype types[] = {EF_DT_F32, EF_DT_BF16, EF_DT_F16};
  ef_model model;
  make_moe(3, &model);
  for (size_t i = 0; i < COUNT(types); i++) {
    write_folder(&model, in(folder, "hf"), types[i]);
    expect_round_trip(in(folder, "hf"));
  }
  ef_model_free(&model);
}

/* Two shards and their index, as the hub has them. */
Test(model_files, shards_come_back_as_one_file) {
  ef_model model;
  make_moe(4, &model);
  const char *whole = in(folder, "whole"), *parts = in(folder, "parts");
  write_folder(&model, whole, EF_DT_BF16);
  write_folder(&model, parts, EF_DT_BF16);
  cr_assert_eq(remove(in(parts, "model.safetensors")), 0);
  ef_st_write list[2][128];
  size_t count[2] = {0, 0}, used = 0, half = model.table.count / 2;
  static char index[65536];
  used += (size_t)snprintf(index, sizeof index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *t = &model.table.tensors[i];
    size_t part = i >= half;
    list[part][count[part]++] = (ef_st_write){.name = t->name,
                                              .dtype = EF_DT_BF16,
                                              .rank = t->rank,
                                              .shape = {t->shape[0], t->shape[1]},
                                              .data = model.params + t->offset};
    used += (size_t)snprintf(index + used, sizeof index - used, "%s\"%s\": \"model-%zu.safetensors\"",
                             i ? ", " : "", t->name, part);
  }
  snprintf(index + used, sizeof index - used, "}}");
  cr_assert_eq(ef_st_save(in(parts, "model-0.safetensors"), list[0], count[0]), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_save(in(parts, "model-1.safetensors"), list[1], count[1]), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_file_write(in(parts, "model.safetensors.index.json"), index, strlen(index)), EF_OK);
  cr_assert_eq(RUN_QUIET("import", parts, in(folder, "m.h5")), EF_OK, "%s", ef_message());
  cr_assert_eq(RUN_QUIET("export", in(folder, "m.h5"), in(folder, "out")), EF_OK, "%s", ef_message());
  expect_same_folders(whole, in(folder, "out"));
  ef_model_free(&model);
}

Test(model_files, tokenizer_travels_along) {
  ef_model model;
  make_moe(5, &model);
  write_folder(&model, in(folder, "hf"), EF_DT_F32);
  static const char bytes[] = "not a real\0 tokenizer\xff";
  cr_assert_eq(ef_file_write(in(folder, "hf/tokenizer.model"), bytes, sizeof bytes), EF_OK);
  expect_round_trip(in(folder, "hf"));
  char *back = NULL;
  size_t size = 0;
  cr_assert_eq(ef_file_read(in(folder, "out/tokenizer.model"), EF_INPUT, &back, &size), EF_OK, "%s",
               ef_message());
  cr_expect(size == sizeof bytes && memcmp(back, bytes, size) == 0);
  ef_free(back);
  ef_model_free(&model);
}

/* Writes the model without, or with a changed, tensor number `which`, and expects the import to name it. */
static void expect_import_refused(const ef_model *model, size_t which, const ef_st_write *change,
                                  const char *named) {
  ef_st_write list[128];
  size_t count = 0;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i];
    if (i == which && !change) continue;
    list[count] = (ef_st_write){.name = t->name,
                                .dtype = EF_DT_F32,
                                .rank = t->rank,
                                .shape = {t->shape[0], t->shape[1]},
                                .data = model->params + t->offset};
    if (i == which) list[count] = *change;
    count++;
  }
  const char *hf = in(folder, "hf");
  cr_assert_eq(ef_st_save(in(hf, "model.safetensors"), list, count), EF_OK, "%s", ef_message());
  cr_expect_eq(RUN_QUIET("import", hf, in(folder, "never.h5")), EF_INPUT);
  cr_expect(strstr(ef_message(), named) && strstr(ef_message(), hf), "message: %s", ef_message());
  cr_expect_not(ef_file_exists(in(folder, "never.h5")));
}

Test(model_files, import_names_what_is_wrong) {
  ef_model model;
  make_moe(6, &model);
  write_folder(&model, in(folder, "hf"), EF_DT_F32);
  const ef_tensor *t = &model.table.tensors[3];
  float *values = model.params + t->offset;
  ef_st_write same = {.name = t->name,
                      .dtype = EF_DT_F32,
                      .rank = t->rank,
                      .shape = {t->shape[0], t->shape[1]},
                      .data = values};
  expect_import_refused(&model, 3, NULL, t->name);
  ef_st_write other = same;
  other.name = "model.layers.77.mlp.weight";
  expect_import_refused(&model, 3, &other, "model.layers.77.mlp.weight");
  other = same;
  other.shape[0] -= 1;
  expect_import_refused(&model, 3, &other, t->name);
  other = same;
  other.rank = 1;
  other.shape[0] = t->count;
  if (t->rank == 2) expect_import_refused(&model, 3, &other, t->name);
  values[t->count - 1] = NAN;
  expect_import_refused(&model, 3, &same, t->name);
  ef_model_free(&model);
}

/* A rank's shard read from a file of the whole model holds the same numbers. */
Test(model_files, shard_reads_its_experts) {
  ef_model whole, shard;
  ef_model_source source;
  make_moe(7, &whole);
  cr_assert_eq(ef_model_source_make(&whole, &source), EF_OK);
  cr_assert_eq(ef_model_save(in(folder, "m.h5"), &whole, &source), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create_shard(&whole.dims, 1, 2, &shard), EF_OK, "%s", ef_message());
  ef_h5 *file;
  cr_assert_eq(ef_h5_open(in(folder, "m.h5"), "model", &file), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_file_read(file, &shard), EF_OK, "%s", ef_message());
  ef_h5_close(file);
  size_t held = 0;
  for (size_t i = 0; i < whole.table.count; i++) {
    const ef_tensor *a = &whole.table.tensors[i], *b = &shard.table.tensors[i];
    if (b->offset == SIZE_MAX) continue;
    cr_expect_arr_eq(whole.params + a->offset, shard.params + b->offset, a->count * sizeof(float), "%s",
                     a->name);
    held += a->expert >= 0;
  }
  cr_expect_eq(held, 2u * 3u * 2u, "2 experts of 3 tensors in 2 layers, not %zu", held);
  ef_model_source_free(&source);
  ef_model_free(&shard);
  ef_model_free(&whole);
}

/* A file whose group /model was made by hand: one tensor too few, one too many, one that is not finite. */
static ef_status load_changed(const ef_model *model, size_t without, const char *extra, float first) {
  ef_h5_header header = {.kind = "run", .deck = "", .seed = 1, .ranks = 1};
  ef_h5 *file;
  char *config = NULL, path[PATH];
  cr_assert_eq(ef_hf_write_config(&model->dims, &config), EF_OK);
  cr_assert_eq(ef_h5_create(in(folder, "c.h5"), MPI_COMM_NULL, &header, &file), EF_OK);
  ef_h5_array array = {
      .path = path, .type = EF_H5_F32, .description = "parameter", .units = "1", .dims = "out,in"};
  for (size_t i = 0; i <= model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i < model->table.count ? i : 0];
    if (i == without || (i == model->table.count && !extra)) continue;
    snprintf(path, sizeof path, "/model/%s", i < model->table.count ? t->name : extra);
    array.rank = t->rank;
    array.dims = t->rank == 2 ? "out,in" : "out";
    for (size_t d = 0; d < t->rank; d++) array.shape[d] = t->shape[d];
    float *data = model->params + t->offset, kept = data[0];
    if (i == 1) data[0] = first;
    cr_assert_eq(ef_h5_write(file, &array, data), EF_OK, "%s", ef_message());
    data[0] = kept;
  }
  cr_assert_eq(ef_h5_set_text(file, "/model", "config", config), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
  ef_free(config);
  ef_model back;
  ef_status status = ef_model_load(in(folder, "c.h5"), &back, NULL);
  if (status == EF_OK) ef_model_free(&back);
  return status;
}

Test(model_files, load_checks_every_tensor) {
  ef_model model;
  make_moe(8, &model);
  cr_expect_eq(load_changed(&model, SIZE_MAX, NULL, 0.5f), EF_OK, "any kind is read: %s", ef_message());
  cr_expect_eq(load_changed(&model, 2, NULL, 0.5f), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), model.table.tensors[2].name), "%s", ef_message());
  cr_expect_eq(load_changed(&model, SIZE_MAX, "stranger", 0.5f), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), "/model/stranger"), "%s", ef_message());
  cr_expect_eq(load_changed(&model, SIZE_MAX, NULL, INFINITY), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), model.table.tensors[1].name), "%s", ef_message());
  ef_model_free(&model);
}

Test(model_files, a_file_without_a_model_is_refused) {
  ef_h5_header header = {.kind = "series", .deck = "", .seed = 1, .ranks = 1};
  ef_h5 *file;
  cr_assert_eq(ef_h5_create(in(folder, "s.h5"), MPI_COMM_NULL, &header, &file), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK);
  cr_expect_eq(RUN_QUIET("export", in(folder, "s.h5"), in(folder, "out")), EF_CHECKPOINT);
  cr_expect_not_null(strstr(ef_message(), "s.h5: holds no model"), "%s", ef_message());
}
