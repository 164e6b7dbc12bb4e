#include "store/h5.h"

#include "base/file.h"
#include "base/memory.h"
#include "sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256], path[512], other[512], temporary[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  snprintf(other, sizeof other, "%s/b.h5", folder);
  snprintf(temporary, sizeof temporary, "%s/a.h5.tmp", folder);
}

static void down(void) { test_remove_folder(folder); }

TestSuite(h5, .init = up, .fini = down);

static ef_h5 *create(const ef_h5_header *header) {
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, header, &file), EF_OK, "%s", ef_message());
  return file;
}

static ef_h5 *reopen(void) {
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_open(path, "tensors", &file), EF_OK, "%s", ef_message());
  return file;
}

static void refused(const char *kind, const char *part) {
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_open(path, kind, &file), EF_CHECKPOINT);
  cr_assert_null(file);
  cr_assert(strstr(ef_message(), part), "no \"%s\" in: %s", part, ef_message());
  cr_assert(strstr(ef_message(), path), "no path in: %s", ef_message());
}

Test(h5, round_trip_of_every_type) {
  size_t blocks = ef_memory_blocks();
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  cr_assert(!ef_file_exists(temporary));
  ef_h5 *file = reopen();
  cr_assert(sample_equal(file), "%s", ef_message());
  cr_assert_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  ef_h5_close(file);
  cr_assert_eq(ef_memory_blocks(), blocks);
}

Test(h5, equal_contents_are_equal_bytes) {
  char *a, *b;
  size_t na, nb;
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  sleep(1); /* a stamp of seconds would differ */
  free(memset(malloc(1 << 20), 0x5a, 1 << 20));
  cr_assert_eq(sample_write(other), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_file_read(path, EF_INPUT, &a, &na), EF_OK);
  cr_assert_eq(ef_file_read(other, EF_INPUT, &b, &nb), EF_OK);
  cr_assert_eq(na, nb);
  cr_assert_eq(memcmp(a, b, na), 0);
  ef_free(a);
  ef_free(b);
}

Test(h5, deck_of_any_length) {
  size_t n = 300000;
  char *deck = ef_alloc(n + 1, 1), *found = NULL;
  for (size_t i = 0; i < n; i++) deck[i] = (char)('a' + i % 26);
  ef_h5_header header = sample_header;
  for (int k = 0; k < 2; k++) {
    header.deck = k == 0 ? deck : "";
    cr_assert_eq(ef_h5_commit(create(&header)), EF_OK, "%s", ef_message());
    ef_h5 *file = reopen();
    cr_assert_eq(ef_h5_deck(file, &found), EF_OK, "%s", ef_message());
    cr_assert_str_eq(found, header.deck);
    ef_free(found);
    ef_h5_close(file);
  }
  ef_free(deck);
}

Test(h5, attributes_are_replaced_and_limited) {
  ef_h5 *file = create(&sample_header);
  for (int i = 0; i < 40; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", i);
    cr_assert_eq(ef_h5_set_int(file, "/deep/group", name, i), EF_OK, "%s", ef_message());
    cr_assert_eq(ef_h5_set_int(file, "/deep/group", name, 100 + i), EF_OK, "%s", ef_message());
  }
  char *text = ef_alloc(70000, 1), *found = NULL;
  memset(text, 'x', 59000);
  cr_assert_eq(ef_h5_set_text(file, "/deep/group", "long", text), EF_OK, "%s", ef_message());
  memset(text, 'x', 69999);
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
  file = reopen();
  for (int i = 0; i < 40; i++) {
    char name[16];
    int64_t value = 0;
    snprintf(name, sizeof name, "n%d", i);
    cr_assert_eq(ef_h5_get_int(file, "/deep/group", name, &value), EF_OK, "%s", ef_message());
    cr_assert_eq(value, 100 + i);
  }
  cr_assert_eq(ef_h5_get_text(file, "/deep/group", "long", &found), EF_OK, "%s", ef_message());
  cr_assert_eq(strlen(found), 59000);
  ef_free(found);
  cr_assert_eq(ef_h5_get_text(file, "/deep/group", "absent", &found), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "absent") && strstr(ef_message(), "/deep/group"), "%s", ef_message());
  cr_assert_eq(ef_h5_get_text(file, "/deep/group", "n1", &found), EF_CHECKPOINT);
  ef_h5_close(file);
  file = create(&sample_header);
  cr_assert_eq(ef_h5_set_text(file, "/", "long", text), EF_FAULT);
  ef_h5_close(file);
  ef_free(text);
}

Test(h5, unfinished_file_is_never_seen) {
  ef_h5 *file = create(&sample_header);
  cr_assert_eq(sample_fill(file, 0, 1), EF_OK, "%s", ef_message());
  cr_assert(ef_file_exists(temporary) && !ef_file_exists(path));
  ef_h5_close(file);
  cr_assert(!ef_file_exists(temporary) && !ef_file_exists(path));
}

Test(h5, refuses_foreign_and_unfinished_files) {
  refused(NULL, "No such file");
  cr_assert_eq(ef_file_write(path, "", 0), EF_OK);
  refused(NULL, "not an HDF5 file (too short)");
  cr_assert_eq(ef_file_write(path, "PK\3\4 something else", 20), EF_OK);
  refused(NULL, "not an HDF5 file (wrong signature)");
  ef_h5 *file = create(&sample_header);
  cr_assert_eq(ef_h5_commit(file), EF_OK);
  refused("model", "not a file of kind \"model\"");
  file = create(&sample_header);
  cr_assert_eq(ef_h5_set_int(file, "/", "format_version", EF_FORMAT_VERSION + 1), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK);
  refused("tensors", "newer");
  file = create(&sample_header);
  cr_assert_eq(ef_h5_set_text(file, "/", "format", "netcdf"), EF_OK);
  cr_assert_eq(ef_h5_commit(file), EF_OK);
  refused("tensors", "not of edgefuse");
}

static ef_status count_array(void *ctx, const char *name, const ef_h5_array *array) {
  (void)array;
  char *names = ctx;
  strcat(strcat(names, name), " ");
  return EF_OK;
}

Test(h5, visits_in_order_of_names) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  ef_h5 *file = reopen();
  char names[1024] = "";
  cr_assert_eq(ef_h5_visit(file, "/", count_array, names), EF_OK, "%s", ef_message());
  cr_assert_str_eq(names, "/data/bytes /data/ids /data/tokens /model/layers.0.bias /model/layers.0.weight "
                          "/series/loss /state/empty /state/step ");
  names[0] = '\0';
  cr_assert_eq(ef_h5_visit(file, "/model", count_array, names), EF_OK, "%s", ef_message());
  cr_assert_str_eq(names, "/model/layers.0.bias /model/layers.0.weight ");
  cr_assert_eq(ef_h5_visit(file, "/nothing", count_array, names), EF_CHECKPOINT);
  cr_assert(ef_h5_has(file, "/data/ids") && !ef_h5_has(file, "/data/ids2") && !ef_h5_has(file, "/x/y"));
  ef_h5_close(file);
}

Test(h5, read_names_what_differs) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  ef_h5 *file = reopen();
  ef_h5_array array = {.path = "/data/ids", .type = EF_H5_I32, .rank = 3, .shape = {2, 3, 5}};
  int32_t out[30];
  cr_assert_eq(ef_h5_read(file, &array, out), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "/data/ids: is int32 [2, 3, 4], not int32 [2, 3, 5]"), "%s", ef_message());
  array = (ef_h5_array){.path = "/data/none", .type = EF_H5_I32, .rank = 1, .shape = {1}};
  cr_assert_eq(ef_h5_read(file, &array, out), EF_CHECKPOINT);
  cr_assert(strstr(ef_message(), "/data/none: no such dataset"), "%s", ef_message());
  cr_assert_eq(ef_h5_describe(file, "/data/ids", &array), EF_OK);
  cr_assert(array.type == EF_H5_I32 && array.rank == 3 && array.shape[2] == 4);
  cr_assert_eq(ef_h5_describe(file, "/data", &array), EF_CHECKPOINT);
  cr_assert_eq(ef_h5_describe(file, "/deck", &array), EF_CHECKPOINT);
  ef_h5_close(file);
}

Test(h5, write_wants_its_description) {
  ef_h5 *file = create(&sample_header);
  float x[6] = {0};
  ef_h5_array array = {"/x", EF_H5_F32, 2, {2, 3}, "", "1", "a,b"};
  cr_assert_eq(ef_h5_write(file, &array, x), EF_FAULT);
  array.description = "d";
  array.dims = "a";
  cr_assert_eq(ef_h5_write(file, &array, x), EF_FAULT);
  array.dims = "a,b";
  cr_assert_eq(ef_h5_write(file, &array, NULL), EF_FAULT);
  cr_assert_eq(ef_h5_write(file, &array, x), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_write(file, &array, x), EF_MACHINE);
  cr_assert(strstr(ef_message(), "/x"), "%s", ef_message());
  cr_assert_eq(ef_h5_commit(file), EF_FAULT);
  cr_assert(!ef_file_exists(path) && !ef_file_exists(temporary));
}

Test(h5, tools_read_the_file) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  char command[1200];
  snprintf(command, sizeof command, "h5dump -H %s >/dev/null && h5ls -r %s >/dev/null", path, path);
  if (system("command -v h5dump >/dev/null && command -v h5ls >/dev/null") != 0)
    cr_skip_test("no hdf5-tools");
  cr_assert_eq(system(command), 0);
}

Test(h5, large_rows_are_cut_into_chunks) {
  size_t rows = 3, columns = 700001, n = rows * columns;
  float *x = ef_alloc(n, 4), *y = ef_alloc(n, 4);
  test_fill(x, n, 1.0f, 1);
  ef_h5 *file = create(&sample_header);
  ef_h5_array array = {"/x", EF_H5_F32, 2, {rows, columns}, "long rows", "1", "a,b"};
  cr_assert_eq(ef_h5_write(file, &array, x), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_h5_commit(file), EF_OK, "%s", ef_message());
  file = reopen();
  cr_assert_eq(ef_h5_read(file, &array, y), EF_OK, "%s", ef_message());
  cr_assert_eq(memcmp(x, y, 4 * n), 0);
  cr_assert_eq(ef_h5_verify(file), EF_OK, "%s", ef_message());
  ef_h5_close(file);
  ef_free(x);
  ef_free(y);
}
