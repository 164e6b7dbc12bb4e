/* forward: against the reference tensors, and against a brute-force loss from the logits that it wrote. */
#include "test_cli.h"

#include "base/file.h"
#include "store/h5.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[PATH / 2];
static void set_up(void) { test_make_folder(folder, sizeof folder); }
static void tear_down(void) { test_remove_folder(folder); }
TestSuite(forward, .init = set_up, .fini = tear_down);

static float *read_h5(ef_h5 *file, const char *path, size_t *count) {
  ef_h5_array array = {.path = path};
  cr_assert_eq(ef_h5_describe(file, path, &array), EF_OK, "%s", ef_message());
  array.path = path;
  *count = 1;
  for (size_t d = 0; d < array.rank; d++) *count *= array.shape[d];
  float *data = ef_alloc(*count, sizeof *data);
  cr_assert_eq(ef_h5_read(file, &array, data), EF_OK, "%s", ef_message());
  return data;
}

static double read_scalar(ef_h5 *file, const char *path) {
  ef_h5_array array = {.path = path, .type = EF_H5_F64};
  double value = NAN;
  cr_assert_eq(ef_h5_read(file, &array, &value), EF_OK, "%s", ef_message());
  return value;
}

/* Compares a dataset with a reference tensor: largest difference, or relative Frobenius error. */
static void expect_near(ef_h5 *file, const char *path, const ef_st *reference, const char *name, double limit,
                        bool relative) {
  const ef_st_tensor *tensor = ef_st_find(reference, name);
  cr_assert_not_null(tensor, "%s", name);
  size_t count;
  float *mine = read_h5(file, path, &count), *theirs = ef_alloc(tensor->count, sizeof *theirs);
  cr_assert_eq(count, tensor->count, "%s", path);
  cr_assert_eq(ef_st_read_f32(reference, tensor, true, theirs), EF_OK, "%s", ef_message());
  double error = relative ? test_rel_frobenius(mine, theirs, count) : test_max_abs(mine, theirs, count);
  cr_expect(error <= limit || (relative && test_max_abs(mine, theirs, count) < 1e-6), "%s: %g above %g", path,
            error, limit);
  ef_free(mine);
  ef_free(theirs);
}

static void expect_experts(ef_h5 *file, const char *path, const ef_st *reference, const char *name) {
  const ef_st_tensor *tensor = ef_st_find(reference, name);
  int64_t *theirs = ef_alloc(tensor->count, sizeof *theirs);
  int32_t *mine = ef_alloc(tensor->count, sizeof *mine);
  ef_h5_array array = {
      .path = path, .type = EF_H5_I32, .rank = 2, .shape = {tensor->shape[0], tensor->shape[1]}};
  cr_assert_eq(ef_st_read_i64(reference, tensor, theirs), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_read(file, &array, mine), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < tensor->count; i++) cr_expect_eq(mine[i], theirs[i], "%s[%zu]", path, i);
  ef_free(theirs);
  ef_free(mine);
}

static void expect_reference(ef_h5 *file, const ef_st *reference) {
  for (size_t i = 0; i < ef_st_count(reference); i++) {
    const char *name = ef_st_at(reference, i)->name;
    char path[256];
    if (strncmp(name, "hidden.", 7) == 0) {
      snprintf(path, sizeof path, "/hidden/%s", name + 7);
      expect_near(file, path, reference, name, 3e-5, false);
    } else if (strncmp(name, "router_logits.", 14) == 0) {
      snprintf(path, sizeof path, "/router/%s/logits", name + 14);
      expect_near(file, path, reference, name, 3e-5, false);
    } else if (strncmp(name, "experts.", 8) == 0) {
      snprintf(path, sizeof path, "/router/%s/experts", name + 8);
      expect_experts(file, path, reference, name);
    } else if (strncmp(name, "grad.", 5) == 0) {
      snprintf(path, sizeof path, "/grad/%s", name + 5);
      expect_near(file, path, reference, name, 2e-5, true);
    }
  }
  expect_near(file, "/logits", reference, "logits", 3e-5, false);
  expect_near(file, "/hidden_prenorm", reference, "hidden_prenorm", 3e-5, false);
  float total;
  cr_assert_eq(ef_st_read_f32(reference, ef_st_find(reference, "loss_total"), true, &total), EF_OK);
  cr_expect_float_eq(read_scalar(file, "/loss_total"), (double)total, 1e-5);
}

Test(forward, agrees_with_the_reference_models, .timeout = 120) {
  static const char *const names[] = {"gpt2", "llama", "qwen2", "qwen2_moe", "deepseek_moe"};
  for (size_t i = 0; i < COUNT(names); i++) {
    char source[PATH];
    if (!test_oracle_path(source, sizeof source, names[i])) cr_skip_test("no reference models here");
    const char *model = in(folder, "m.h5"), *out = in(folder, "f.h5"),
               *ids = in(source, "reference.safetensors");
    cr_assert_eq(RUN_QUIET("import", source, model), EF_OK, "%s", ef_message());
    cr_assert_eq(RUN_QUIET("forward", model, "--ids", ids, "--out", out, "--grad", "-q"), EF_OK, "%s",
                 ef_message());
    ef_h5 *file;
    ef_st *reference;
    cr_assert_eq(ef_h5_open(out, "tensors", &file), EF_OK, "%s", ef_message());
    cr_assert_eq(ef_st_open(ids, &reference), EF_OK, "%s", ef_message());
    expect_reference(file, reference);
    ef_st_close(reference);
    ef_h5_close(file);
  }
}

/* ---- batches of our own --------------------------------------------------------------------- */

enum { B = 2, T = 5, V = 50 };

/* A safetensors file with I64 tensors (B,T), written byte by byte; labels may be NULL. */
static void write_ids(const char *path, const int64_t *ids, const int64_t *labels) {
  char header[256], bytes[1024];
  size_t n = B * T * sizeof *ids;
  int length =
      snprintf(header, sizeof header,
               "{\"input_ids\":{\"dtype\":\"I64\",\"shape\":[%d,%d],\"data_offsets\":[0,%zu]}", B, T, n);
  if (labels) {
    length += snprintf(header + length, sizeof header - (size_t)length,
                       ",\"labels\":{\"dtype\":\"I64\",\"shape\":[%d,%d],\"data_offsets\":[%zu,%zu]}", B, T,
                       n, 2 * n);
  }
  length += snprintf(header + length, sizeof header - (size_t)length, "}");
  uint64_t prefix = (uint64_t)length;
  memcpy(bytes, &prefix, 8);
  memcpy(bytes + 8, header, (size_t)length);
  memcpy(bytes + 8 + length, ids, n);
  if (labels) memcpy(bytes + 8 + (size_t)length + n, labels, n);
  cr_assert_eq(ef_file_write(path, bytes, 8 + (size_t)length + n * (labels ? 2 : 1)), EF_OK);
}

static const int64_t some_ids[B * T] = {1, 7, 49, 0, 3, 9, 9, 12, 30, 41};

static void save_model(void) {
  ef_model model;
  ef_model_source source;
  make_moe(11, &model);
  cr_assert_eq(ef_model_source_make(&model, &source), EF_OK);
  cr_assert_eq(ef_model_save(in(folder, "m.h5"), &model, &source), EF_OK, "%s", ef_message());
  ef_model_source_free(&source);
  ef_model_free(&model);
}

static ef_status run_forward(bool grad) {
  const char *model = in(folder, "m.h5"), *ids = in(folder, "b.safetensors"), *out = in(folder, "f.h5");
  if (grad) return RUN_QUIET("forward", model, "--ids", ids, "--out", out, "-q", "--grad");
  return RUN_QUIET("forward", model, "--ids", ids, "--out", out, "-q");
}

/* Mean of -log softmax(logits[b,t])[labels[b,t+1]] over the labels that are not -100. */
static double brute_force_loss(const float *logits, const int64_t *labels) {
  double sum = 0.0;
  int count = 0;
  for (int b = 0; b < B; b++) {
    for (int t = 0; t + 1 < T; t++) {
      int64_t label = labels[b * T + t + 1];
      if (label < 0) continue;
      double z = 0.0;
      const float *row = logits + (b * T + t) * V;
      for (int v = 0; v < V; v++) z += exp((double)row[v]);
      sum += log(z) - (double)row[label];
      count++;
    }
  }
  return sum / count;
}

Test(forward, labels_may_be_ignored) {
  int64_t labels[B * T];
  memcpy(labels, some_ids, sizeof labels);
  labels[0] = labels[2] = labels[8] = -100;
  save_model();
  write_ids(in(folder, "b.safetensors"), some_ids, labels);
  cr_assert_eq(run_forward(false), EF_OK, "%s", ef_message());
  ef_h5 *file;
  size_t count;
  cr_assert_eq(ef_h5_open(in(folder, "f.h5"), "tensors", &file), EF_OK);
  float *logits = read_h5(file, "/logits", &count);
  cr_assert_eq(count, (size_t)(B * T * V));
  cr_expect_float_eq(read_scalar(file, "/loss_ce"), brute_force_loss(logits, labels), 1e-6);
  cr_expect_not(ef_h5_has(file, "/grad"));
  ef_free(logits);
  ef_h5_close(file);
}

Test(forward, without_labels_there_is_no_loss) {
  save_model();
  write_ids(in(folder, "b.safetensors"), some_ids, NULL);
  cr_assert_eq(run_forward(false), EF_OK, "%s", ef_message());
  ef_h5 *file;
  cr_assert_eq(ef_h5_open(in(folder, "f.h5"), "tensors", &file), EF_OK);
  cr_expect(ef_h5_has(file, "/logits") && ef_h5_has(file, "/hidden/2") &&
            ef_h5_has(file, "/router/1/experts"));
  cr_expect_not(ef_h5_has(file, "/loss_ce") || ef_h5_has(file, "/loss_total"));
  ef_h5_close(file);
  cr_expect_eq(run_forward(true), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "b.safetensors: no tensor labels (I64, B x T): --grad needs them"),
                     "%s", ef_message());
}

Test(forward, refuses_tokens_outside_the_vocabulary) {
  int64_t wrong[B * T];
  save_model();
  memcpy(wrong, some_ids, sizeof wrong);
  wrong[4] = V;
  write_ids(in(folder, "b.safetensors"), wrong, some_ids);
  cr_expect_eq(run_forward(false), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "input_ids[4]: 50 is no token of a vocabulary of 50"), "%s",
                     ef_message());
  wrong[4] = -100;
  write_ids(in(folder, "b.safetensors"), wrong, some_ids);
  cr_expect_eq(run_forward(false), EF_INPUT);
  write_ids(in(folder, "b.safetensors"), some_ids,
            (int64_t[]){-100, -100, -100, -100, -100, -100, -100, -100, -100, -100});
  cr_expect_eq(run_forward(false), EF_INPUT);
  cr_expect_not_null(strstr(ef_message(), "no token is counted"), "%s", ef_message());
}
