#include "support/support.h"
#include "train/block_file.h"

#include "base/memory.h"
#include "model/model.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static char folder[4000], path[4096];

static void make(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/block.h5", folder);
}

static void clear(void) { test_remove_folder(folder); }

TestSuite(block_file, .init = make, .fini = clear);

static ef_dims dims_of(void) {
  ef_shape shape = {.V = 11, .D = 8, .L = 2, .H = 2, .max_positions = 8, .E = 4, .K = 2, .Fe = 5, .Fs = 3};
  ef_dims dims;
  cr_ok(ef_dims_make(EF_QWEN2_MOE, &shape, &dims));
  return dims;
}

static ef_model filled(void) {
  ef_dims dims = dims_of();
  ef_model model;
  cr_ok(ef_model_create(&dims, &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 1.0f, (unsigned)i);
  }
  return model;
}

static void write_file(const ef_model *model, bool routed) {
  ef_h5 *file;
  ef_h5_header header = {.kind = "part", .deck = "", .ranks = 1};
  cr_ok(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  cr_ok(ef_block_write(file, "/x", &model->table, model->params, EF_BLOCK_ALL, routed, "number"));
  cr_ok(ef_h5_commit(file));
}

static ef_status read_file(const char *prefix, const ef_model *model, bool routed) {
  ef_h5 *file;
  cr_ok(ef_h5_open(path, "part", &file));
  ef_status status = ef_block_read(file, prefix, &model->table, routed, model->params);
  ef_h5_close(file);
  return status;
}

Test(block_file, comes_back_bit_for_bit) {
  ef_model model = filled(), back;
  cr_ok(ef_model_create(&model.dims, &back));
  write_file(&model, true);
  cr_ok(read_file("/x", &back, true));
  cr_assert_eq(memcmp(model.params, back.params, model.table.floats * sizeof(float)), 0);
  ef_model_free(&model);
  ef_model_free(&back);
}

Test(block_file, a_shard_reads_its_own_experts) {
  ef_model model = filled(), shard;
  cr_ok(ef_model_create_shard(&model.dims, 1, 2, &shard));
  write_file(&model, true);
  cr_ok(read_file("/x", &shard, true));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i], *of_shard = &shard.table.tensors[i];
    bool held = tensor->expert < 0 || tensor->expert == 1 || tensor->expert == 2;
    cr_assert_eq(of_shard->offset != SIZE_MAX, held, "%s", tensor->name);
    if (!held) continue;
    cr_assert_eq(
        memcmp(model.params + tensor->offset, shard.params + of_shard->offset, tensor->count * sizeof(float)),
        0, "%s", tensor->name);
  }
  ef_model_free(&model);
  ef_model_free(&shard);
}

Test(block_file, frozen_experts_are_left_out) {
  ef_model model = filled(), back;
  cr_ok(ef_model_create(&model.dims, &back));
  write_file(&model, false);
  cr_ok(read_file("/x", &back, false));
  cr_assert_eq(memcmp(model.params, back.params, model.table.shared * sizeof(float)), 0);
  for (size_t i = model.table.shared; i < model.table.floats; i++) cr_assert_eq(back.params[i], 0.0f);
  cr_assert_eq(read_file("/x", &back, true), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "experts.0") != NULL, "the missing tensor is named: %s", ef_message());
  ef_model_free(&model);
  ef_model_free(&back);
}

Test(block_file, other_prefixes_shapes_and_numbers_are_refused) {
  ef_model model = filled(), other;
  write_file(&model, true);
  cr_assert_eq(read_file("/y", &model, true), EF_CHECKPOINT);
  ef_dims wider = dims_of();
  wider.Fe = 7;
  cr_ok(ef_model_create(&wider, &other));
  cr_assert_eq(read_file("/x", &other, true), EF_CHECKPOINT);
  const ef_tensor *last = &model.table.tensors[model.table.count - 1];
  model.params[last->offset + 2] = INFINITY;
  char where[256];
  snprintf(where, sizeof where, "/x/%s[2]", last->name);
  write_file(&model, true);
  cr_assert_eq(read_file("/x", &model, true), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), where) != NULL, "%s", ef_message());
  ef_model_free(&model);
  ef_model_free(&other);
}
