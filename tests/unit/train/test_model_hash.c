/* The hash of a model: of its numbers, names and shapes, and of nothing else in the file. */
#include "train/model_hash.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include "train/model_file.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

typedef char hash_text[EF_MODEL_HASH_BYTES];

static char folder[4000], path[4096];

static void make(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/model.h5", folder);
}

static void clear(void) { test_remove_folder(folder); }

TestSuite(model_hash, .init = make, .fini = clear);

static ef_model filled(size_t width) {
  ef_shape shape = {
      .V = 11, .D = width, .L = 2, .H = 2, .max_positions = 8, .E = 4, .K = 2, .Fe = 5, .Fs = 3};
  ef_dims dims;
  ef_model model;
  cr_ok(ef_dims_make(EF_QWEN2_MOE, &shape, &dims));
  cr_ok(ef_model_create(&dims, &model));
  test_fill(model.params, model.table.floats, 1.0f, 3);
  return model;
}

/* A file of this kind with the model, if there is one, and a dataset of `extra` numbers beside it. */
static void write_file(const ef_model *model, const char *kind, size_t extra) {
  ef_h5 *file;
  ef_h5_header header = {.kind = kind, .deck = "", .seed = extra, .ranks = 1 + (int)extra};
  float numbers[8] = {1.0f, 2.0f, 3.0f};
  ef_h5_array array = {.path = "/optimiser/m",
                       .type = EF_H5_F32,
                       .rank = 1,
                       .shape = {extra},
                       .description = "numbers",
                       .units = "1",
                       .dims = "number"};
  cr_ok(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  if (model) cr_ok(ef_model_file_write_made(file, model));
  if (extra) cr_ok(ef_h5_write(file, &array, numbers));
  cr_ok(ef_h5_commit(file));
}

static void hash_of(const ef_model *model, const char *kind, size_t extra, hash_text out) {
  write_file(model, kind, extra);
  cr_ok(ef_model_path_hash(path, out));
  cr_assert_eq(strlen(out), 32u);
  cr_assert_eq(strspn(out, "0123456789abcdef"), 32u, "%s", out);
}

Test(model_hash, the_same_model_has_the_same_hash_in_any_file) {
  size_t blocks = ef_memory_blocks();
  ef_model model = filled(8), again = filled(8);
  hash_text first, second, third;
  hash_of(&model, "model", 0, first);
  hash_of(&again, "model", 0, second);
  hash_of(&model, "run", 5, third);
  cr_assert_str_eq(first, second);
  cr_assert_str_eq(first, third, "what else is in the file does not count");
  ef_model_free(&model);
  ef_model_free(&again);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

/* The lowest bit of the first number of the first, a middle and the last tensor. */
Test(model_hash, one_bit_makes_another) {
  ef_model model = filled(8);
  hash_text before, after;
  hash_of(&model, "model", 0, before);
  size_t count = model.table.count, places[] = {0, count / 2, count - 1};
  for (size_t i = 0; i < 3; i++) {
    const ef_tensor *t = &model.table.tensors[places[i]];
    unsigned char *bytes = (unsigned char *)(model.params + t->offset);
    bytes[0] ^= 1;
    hash_of(&model, "model", 0, after);
    cr_assert_str_neq(before, after, "%s", t->name);
    bytes[0] ^= 1;
  }
  hash_of(&model, "model", 0, after);
  cr_assert_str_eq(before, after);
  ef_model_free(&model);
}

/* All zero: only names and shapes tell the two apart. */
Test(model_hash, shapes_count) {
  ef_model narrow = filled(8), wide = filled(16);
  hash_text a, b;
  memset(narrow.params, 0, narrow.table.floats * sizeof(float));
  memset(wide.params, 0, wide.table.floats * sizeof(float));
  hash_of(&narrow, "model", 0, a);
  hash_of(&wide, "model", 0, b);
  cr_assert_str_neq(a, b);
  ef_model_free(&narrow);
  ef_model_free(&wide);
}

Test(model_hash, a_file_without_a_model) {
  hash_text out;
  size_t blocks = ef_memory_blocks();
  write_file(NULL, "series", 3);
  cr_assert_eq(ef_model_path_hash(path, out), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "model.h5: holds no model"), "%s", ef_message());
  cr_ok(ef_file_write(path, "{}", 2));
  cr_assert_eq(ef_model_path_hash(path, out), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "model.h5"), "%s", ef_message());
  remove(path);
  cr_assert_eq(ef_model_path_hash(path, out), EF_CHECKPOINT);
  cr_assert_eq(ef_memory_blocks(), blocks);
}
