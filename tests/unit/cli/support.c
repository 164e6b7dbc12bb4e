#include "test_cli.h"

#include "base/file.h"
#include "base/log.h"
#include "model/hf.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *in(const char *folder, const char *name) {
  static char paths[8][PATH];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, PATH, "%s/%s", folder, name);
  return path;
}

static ef_status run_here(const char *const *arguments) {
  char *argv[24] = {(char *)(uintptr_t) "edgefuse"};
  int argc = 1;
  while (arguments[argc - 1]) {
    argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
    argc++;
  }
  ef_par par = ef_par_alone();
  ef_cli cli = {.par = &par, .verbosity = -1};
  size_t blocks = ef_memory_blocks();
  ef_status status = ef_cli_run(&cli, argc, argv);
  ef_cli_free(&cli);
  cr_expect_eq(ef_memory_blocks(), blocks, "%s left %zu blocks of memory", arguments[0],
               ef_memory_blocks() - blocks);
  return status;
}

ef_status run_command(char *out, size_t size, const char *const *arguments) {
  FILE *capture = tmpfile();
  cr_assert_not_null(capture);
  fflush(stdout);
  int before = dup(STDOUT_FILENO);
  dup2(fileno(capture), STDOUT_FILENO);
  ef_status status = run_here(arguments);
  fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  if (out) {
    rewind(capture);
    out[fread(out, 1, size - 1, capture)] = '\0';
  }
  fclose(capture);
  return status;
}

void make_moe(uint64_t seed, ef_model *model) {
  ef_shape shape = {.V = 50,
                    .D = 24,
                    .L = 2,
                    .H = 3,
                    .G = 3,
                    .F = 40,
                    .max_positions = 32,
                    .E = 4,
                    .K = 2,
                    .Fe = 10,
                    .Fs = 12};
  ef_dims dims;
  cr_assert_eq(ef_dims_make(EF_QWEN2_MOE, &shape, &dims), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_model_create(&dims, model), EF_OK, "%s", ef_message());
  ef_model_init(model, seed, 0);
}

static void save_model(const char *path, const ef_model *model, const ef_tokenizer *tokenizer) {
  ef_model_source source;
  cr_assert_eq(ef_model_source_make(model, &source), EF_OK, "%s", ef_message());
  if (tokenizer) {
    const void *bytes;
    ef_tokenizer_model(tokenizer, &bytes, &source.tokenizer_bytes);
    source.tokenizer = ef_alloc(source.tokenizer_bytes, 1);
    memcpy(source.tokenizer, bytes, source.tokenizer_bytes);
  }
  cr_assert_eq(ef_model_save(path, model, &source), EF_OK, "%s", ef_message());
  ef_model_source_free(&source);
}

void write_model(const char *path, const ef_dims *dims, uint64_t seed, const ef_tokenizer *tokenizer) {
  ef_model model;
  cr_assert_eq(ef_model_create(dims, &model), EF_OK, "%s", ef_message());
  ef_model_init(&model, seed, 0);
  save_model(path, &model, tokenizer);
  ef_model_free(&model);
}

void write_zeros(const char *path, const ef_dims *dims, const ef_tokenizer *tokenizer) {
  ef_model model;
  cr_assert_eq(ef_model_create(dims, &model), EF_OK, "%s", ef_message());
  save_model(path, &model, tokenizer);
  ef_model_free(&model);
}

const char *sample_text(void) {
  static char text[20000];
  static const char *const words[] = {"the ",  "rate ", "of ",   "interest ",
                                      "rose ", "and ",  "fell ", "again. "};
  if (text[0]) return text;
  for (size_t i = 0, n = 0; n + 16 < sizeof text; i++) {
    n += strlen(strcpy(text + n, words[(i * i + i / 3) % COUNT(words)]));
  }
  return text;
}

ef_tokenizer *sample_tokenizer(void) {
  const char *texts[] = {sample_text()};
  size_t bytes = strlen(texts[0]);
  ef_tokenizer *tokenizer;
  cr_assert_eq(ef_tokenizer_train(texts, &bytes, 1, 300, &tokenizer), EF_OK, "%s", ef_message());
  return tokenizer;
}

void write_folder(const ef_model *model, const char *folder, ef_dtype dtype) {
  ef_model_source source;
  cr_assert_eq(ef_model_source_make(model, &source), EF_OK, "%s", ef_message());
  for (size_t i = 0; i < model->table.count; i++) source.tensors[i].dtype = dtype;
  cr_assert_eq(ef_model_export(model, &source, folder), EF_OK, "%s", ef_message());
  ef_model_source_free(&source);
}

static void expect_same_file(const char *a, const char *b) {
  char *x = NULL, *y = NULL;
  size_t n = 0, m = 0;
  cr_assert_eq(ef_file_read(a, EF_INPUT, &x, &n), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_file_read(b, EF_INPUT, &y, &m), EF_OK, "%s", ef_message());
  cr_expect(n == m && memcmp(x, y, n) == 0, "%s and %s differ", a, b);
  ef_free(x);
  ef_free(y);
}

void expect_same_folders(const char *a, const char *b) {
  ef_st *first, *second;
  expect_same_file(in(a, "config.json"), in(b, "config.json"));
  cr_assert_eq(ef_st_open(a, &first), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_open(b, &second), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_st_count(first), ef_st_count(second));
  for (size_t i = 0; i < ef_st_count(first); i++) {
    const ef_st_tensor *x = ef_st_at(first, i), *y = ef_st_find(second, x->name);
    cr_assert_not_null(y, "%s is missing", x->name);
    size_t n, m;
    const void *p = ef_st_bytes(first, x, &n), *q = ef_st_bytes(second, y, &m);
    cr_expect(x->dtype == y->dtype && x->rank == y->rank && x->shape[0] == y->shape[0], "%s", x->name);
    cr_expect(n == m && memcmp(p, q, n) == 0, "%s: bytes differ", x->name);
  }
  ef_st_close(first);
  ef_st_close(second);
}
