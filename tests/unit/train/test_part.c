#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/block_file.h"
#include "train/record.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())

static tiny_run t;
static const ef_part_key key = {.kind = EF_UNIT_BASE, .index = 12, .sections = "text,fusion"};

static void open_run(void) { tiny_run_open(&t, NULL, NULL); }
static void close_run(void) { tiny_run_close(&t); }

TestSuite(part, .init = open_run, .fini = close_run);

static ef_model model_of(void) {
  ef_shape shape = {.V = TINY_V, .D = 8, .L = 1, .H = 2, .max_positions = 16};
  ef_dims dims;
  ef_model model;
  cr_ok(ef_dims_make(EF_GPT2, &shape, &dims));
  cr_ok(ef_model_create(&dims, &model));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 1.0f, (unsigned)i);
  }
  return model;
}

static ef_status write_model(void *ctx, ef_h5 *file) {
  const ef_model *model = ctx;
  return ef_block_write(file, "/model", &model->table, model->params, EF_BLOCK_ALL, true, "parameter");
}

static ef_status fail(void *ctx, ef_h5 *file) {
  (void)ctx;
  (void)file;
  return ef_fail(EF_NUMBERS, __FILE__, __LINE__, "planted");
}

static void write_part(bool partial) {
  ef_model model = model_of();
  cr_ok(ef_part_write(&t.run, &key, partial, &(ef_part_content){&model, write_model}));
  ef_model_free(&model);
}

Test(part, is_read_back_bit_for_bit) {
  ef_model model = model_of(), back;
  cr_assert(!ef_part_exists(&t.run, &key));
  write_part(false);
  cr_assert(ef_part_exists(&t.run, &key));
  cr_ok(ef_part_load(&t.run, &key, &model.dims, &back));
  cr_assert_eq(memcmp(model.params, back.params, model.table.floats * sizeof(float)), 0);
  char path[4096];
  ef_part_path(&t.run, &key, false, path, sizeof path);
  cr_assert(strstr(path, "/parts/base_00012.h5") != NULL, "%s", path);
  ef_model_free(&model);
  ef_model_free(&back);
}

Test(part, a_finished_part_ends_the_partial_state) {
  write_part(true);
  cr_assert(ef_part_usable(&t.run, &key, true));
  cr_assert(!ef_part_exists(&t.run, &key), "a partial state is no part");
  write_part(false);
  cr_assert(!ef_part_usable(&t.run, &key, true));
  cr_assert(ef_part_exists(&t.run, &key));
}

Test(part, a_finished_part_ends_what_a_kill_left_of_the_partial_state) {
  char path[4096], left[4200];
  ef_part_path(&t.run, &key, true, path, sizeof path);
  snprintf(left, sizeof left, "%s.tmp", path);
  cr_ok(ef_file_write(left, "half", 4));
  write_part(false);
  cr_assert(!ef_file_exists(left));
}

Test(part, content_that_fails_leaves_no_file_and_keeps_the_partial_state) {
  char path[4200];
  write_part(true);
  cr_assert_eq(ef_part_write(&t.run, &key, false, &(ef_part_content){NULL, fail}), EF_NUMBERS);
  ef_part_path(&t.run, &key, false, path, sizeof path);
  cr_assert(!ef_file_exists(path));
  strcat(path, ".tmp");
  cr_assert(!ef_file_exists(path));
  cr_assert(ef_part_usable(&t.run, &key, true));
}

/* ---- identity ------------------------------------------------------------------------------------------ */

static void identity_with(const char *override, const char *sections, char out[33]) {
  const char *overrides[] = {override, NULL};
  tiny_run other;
  tiny_run_open(&other, NULL, overrides);
  cr_ok(ef_run_identity(&other.run, sections, out));
  tiny_run_close(&other);
}

static bool same_identity(const char *override, const char *sections) {
  char here[33], there[33];
  cr_ok(ef_run_identity(&t.run, sections, here));
  identity_with(override, sections, there);
  cr_assert(strlen(here) == 32 && strspn(here, "0123456789abcdef") == 32);
  return strcmp(here, there) == 0;
}

Test(part, identity_follows_from_seed_text_and_the_sections_named) {
  cr_assert(same_identity(NULL, "text,fusion"));
  cr_assert(!same_identity("run.seed=2", "text,fusion"));
  cr_assert(!same_identity("fusion.alpha=0.5", "text,fusion"));
  cr_assert(same_identity("fusion.alpha=0.5", "text,federation"));
  cr_assert(!same_identity("text.public_share=0.2", "text,federation"));
  cr_assert(!same_identity("federation.families.0.width=16", "federation"));
  cr_assert(same_identity("fusion.alpha=0.5", "text,fusion,-fusion.alpha"));
  cr_assert(!same_identity("fusion.beta=0.5", "text,fusion,-fusion.alpha"));
  cr_assert(same_identity("run.time_limit=60", "text,fusion"), "the run section may change between starts");
  char before[33], after[33];
  cr_ok(ef_run_identity(&t.run, "text", before));
  t.run.tokens.hash[5] = 'f';
  cr_ok(ef_run_identity(&t.run, "text", after));
  cr_assert_str_neq(before, after);
}

/* The line that a look at the part leaves on standard error. */
static void expect_warning(const char *text) {
  char line[4096] = "";
  cr_redirect_stderr();
  bool there = ef_part_exists(&t.run, &key);
  fflush(stderr);
  if (!there) cr_assert_not_null(fgets(line, sizeof line, cr_get_redirected_stderr()));
  cr_assert(!there);
  cr_assert(strstr(line, text) && strstr(line, "computed anew"), "%s", line);
}

Test(part, a_foreign_part_is_passed_over) {
  write_part(false);
  t.run.tokens.hash[0] = 'f';
  ef_h5 *file = NULL;
  cr_assert_eq(ef_part_open(&t.run, &key, false, &file), EF_CHECKPOINT);
  cr_assert_null(file);
  expect_warning("made from another text, seed or deck (sections text,fusion)");
}

/* What rounds leave cannot be told apart by its deck: two methods make it from the same one. */
Test(part, of_a_round_serves_its_own_method_only) {
  ef_part_key round = {.kind = EF_UNIT_ROUND, .index = 1, .sections = "text"};
  ef_model model = model_of();
  cr_redirect_stderr();
  t.run.method = "fedavg";
  cr_ok(ef_part_write(&t.run, &round, false, &(ef_part_content){&model, write_model}));
  write_part(false);
  cr_assert(ef_part_exists(&t.run, &round) && ef_part_exists(&t.run, &key));
  t.run.method = "fedjets";
  cr_assert(!ef_part_exists(&t.run, &round) && ef_part_exists(&t.run, &key));
  ef_model_free(&model);
}

static void damage(long from_middle) {
  char path[4096];
  ef_part_path(&t.run, &key, false, path, sizeof path);
  ef_model model = model_of();
  const float *x = ef_model_tensor(&model, EF_T_EMBED, -1, -1);
  char *bytes = NULL;
  size_t size;
  cr_ok(ef_file_read(path, EF_INPUT, &bytes, &size));
  size_t at = 0;
  while (at + 16 < size && memcmp(bytes + at, x + 8, 16) != 0) at++;
  cr_assert_lt(at + 16, size, "the embedding stands in the file as it is");
  bytes[at + (size_t)from_middle] = (char)(bytes[at + (size_t)from_middle] ^ 1);
  cr_ok(ef_file_write(path, bytes, size));
  ef_free(bytes);
  ef_model_free(&model);
}

Test(part, a_damaged_part_is_passed_over) {
  write_part(false);
  damage(5);
  expect_warning("base_00012.h5");
}

Test(part, a_truncated_part_is_passed_over) {
  char path[4096];
  struct stat info;
  write_part(false);
  ef_part_path(&t.run, &key, false, path, sizeof path);
  cr_assert_eq(stat(path, &info), 0);
  cr_assert_eq(truncate(path, info.st_size - 100), 0);
  expect_warning("base_00012.h5");
}

/* ---- records ------------------------------------------------------------------------------------------- */

enum { WIDTH = 3 };

static double table[20][WIDTH];

static void pack(void *ctx, size_t unit, double *row) {
  (void)ctx;
  memcpy(row, table[unit], sizeof table[unit]);
}

static void unpack(void *ctx, size_t unit, const double *row) {
  (void)ctx;
  memcpy(table[unit], row, sizeof table[unit]);
}

static const ef_records records = {
    .path = "/test/record", .description = "three numbers", .width = WIDTH, .pack = pack, .unpack = unpack};

static ef_status write_record(void *ctx, ef_h5 *file) {
  (void)ctx;
  return ef_record_write(&records, key.index, file);
}

Test(part, records_keep_their_bits) {
  double row[WIDTH] = {1.0 / 3.0, NAN, 65535.0};
  memcpy(table[key.index], row, sizeof row);
  cr_ok(ef_part_write(&t.run, &key, false, &(ef_part_content){NULL, write_record}));
  memset(table, 0, sizeof table);
  cr_ok(ef_record_read(&t.run, &key, &records));
  cr_assert_eq(memcmp(table[key.index], row, sizeof row), 0);
  ef_records wider = records;
  wider.width = WIDTH - 1;
  cr_assert_eq(ef_record_read(&t.run, &key, &wider), EF_CHECKPOINT);
}
