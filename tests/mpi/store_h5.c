/* Collective HDF5 files: contents, agreement on failures, nothing half written. */
#include "store/h5.h"

#include "base/file.h"
#include "base/memory.h"
#include "store/inspect.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static char folder[256], path[512], serial[512], temporary[512];
static const ef_h5_header header = {.kind = "tensors", .deck = "a: 1\n", .seed = 3, .ranks = 1};

static void make_paths(void) {
  if (mpi_rank == 0) test_make_folder(folder, sizeof folder);
  MPI_Bcast(folder, (int)sizeof folder, MPI_BYTE, 0, MPI_COMM_WORLD);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  snprintf(serial, sizeof serial, "%s/b.h5", folder);
  snprintf(temporary, sizeof temporary, "%s/a.h5.tmp", folder);
}

static void remove_paths(void) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (mpi_rank == 0) test_remove_folder(folder);
}

/* On every rank the status and, on ranks other than `from`, a message "rank FROM: ... part". */
static int shared_failure(ef_status status, ef_status expected, int from, const char *part) {
  char prefix[32];
  snprintf(prefix, sizeof prefix, "rank %d: ", from);
  int ok = status == expected && strstr(ef_message(), part) != NULL;
  if (mpi_rank != from) ok = ok && strncmp(ef_message(), prefix, strlen(prefix)) == 0;
  if (!ok) fprintf(stderr, "rank %d: %s: %s\n", mpi_rank, ef_status_name(status), ef_message());
  return mpi_all(ok);
}

enum { TENSORS = 40 };

/* Tensor k has its own shape, a scalar and an empty one among them; its owner is rank k mod `ranks`. */
static ef_status write_tensors(ef_h5 *file, int rank, int ranks) {
  for (int k = 0; k < TENSORS; k++) {
    char name[64];
    snprintf(name, sizeof name, "/model/layer%d/w%d", k / 8, k);
    size_t rows = k == 5 ? 0 : (size_t)(3 + 7 * k % 11), columns = (size_t)(1 + k * 13);
    ef_h5_array array = {name, EF_H5_F32, 2, {rows, columns}, "a tensor", "1", "rows,columns"};
    if (k == 7) array = (ef_h5_array){name, EF_H5_F32, 0, {0}, "a scalar", "1", ""};
    float *x = ef_alloc(rows * columns + 1, 4);
    test_fill(x, rows * columns + 1, 1.0f, (unsigned)k);
    ef_status status = ef_h5_write(file, &array, k % ranks == rank ? x : NULL);
    ef_free(x);
    if (status != EF_OK) return status;
    EF_TRY(ef_h5_set_int(file, name, "number", k));
  }
  return ef_h5_set_nxdata(file, "/series", "loss", "step,layer", "Loss");
}

static ef_status write_file(const char *name, MPI_Comm comm, int rank, int ranks) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_create(name, comm, &header, &file));
  ef_status status = write_tensors(file, rank, ranks);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

MPI_TEST(store_h5, many_owners) {
  make_paths();
  ef_status status = write_file(path, MPI_COMM_WORLD, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  ef_h5 *file = NULL;
  int ok = ef_h5_open(path, "tensors", &file) == EF_OK && ef_h5_verify(file) == EF_OK;
  ef_h5_array array = {.path = "/model/layer4/w39", .type = EF_H5_F32, .rank = 2, .shape = {12, 508}};
  float *found = ef_alloc(12 * 508, 4), *expected = ef_alloc(12 * 508 + 1, 4);
  test_fill(expected, 12 * 508 + 1, 1.0f, 39);
  ok = ok && ef_h5_read(file, &array, found) == EF_OK && memcmp(found, expected, 4 * 12 * 508) == 0;
  ef_free(found);
  ef_free(expected);
  ef_h5_close(file);
  cr_assert(mpi_all(ok), "%s", ef_message());
  remove_paths();
}

MPI_TEST(store_h5, equal_to_serial) {
  make_paths();
  ef_status status = write_file(path, MPI_COMM_WORLD, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  int ok = 1;
  if (mpi_rank == 0) {
    ok = write_file(serial, MPI_COMM_NULL, 0, 1) == EF_OK;
    ok = ok && ef_diff(path, serial, false, stderr) == EF_OK;
  }
  cr_assert(mpi_all(ok), "%s", ef_message());
  remove_paths();
}

/* 70 MB from the last rank: more than one slab and many chunks. */
MPI_TEST(store_h5, large_array) {
  make_paths();
  size_t rows = 70 << 8, columns = 1024, n = rows * columns;
  int mine = mpi_rank == mpi_size - 1;
  float *x = mine ? ef_alloc(n, 4) : NULL;
  for (size_t i = 0; mine && i < n; i++) x[i] = (float)(i % 16777213);
  ef_h5 *file = NULL;
  ef_h5_array array = {"/x", EF_H5_F32, 2, {rows, columns}, "large", "1", "rows,columns"};
  ef_status status = ef_h5_create(path, MPI_COMM_WORLD, &header, &file);
  if (status == EF_OK) status = ef_h5_write(file, &array, x);
  if (status == EF_OK) status = ef_h5_commit(file);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  int ok = 1;
  if (mine) {
    float *y = ef_alloc(n, 4);
    ok = ef_h5_open(path, "tensors", &file) == EF_OK && ef_h5_read(file, &array, y) == EF_OK;
    ok = ok && memcmp(x, y, 4 * n) == 0;
    ef_free(y);
    ef_h5_close(file);
  }
  ef_free(x);
  cr_assert(mpi_all(ok), "%s", ef_message());
  remove_paths();
}

/* Each failure ends on all ranks with one message, and the file can still be dropped. */
MPI_TEST(store_h5, failures_are_shared) {
  make_paths();
  ef_h5 *file = NULL;
  char far[600];
  snprintf(far, sizeof far, "%s/none/a.h5", folder);
  ef_status status = ef_h5_create(far, MPI_COMM_WORLD, &header, &file);
  cr_assert(shared_failure(status, EF_MACHINE, 0, "No such file"));
  status = ef_h5_create(path, MPI_COMM_WORLD, &header, &file);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  float x[2] = {1, 2};
  ef_h5_array array = {"/x", EF_H5_F32, 1, {2}, "values", "1", "i"};
  status = ef_h5_write(file, &array, NULL);
  cr_assert(shared_failure(status, EF_FAULT, 0, "0 ranks pass data"));
  if (mpi_size > 1) {
    status = ef_h5_write(file, &array, x);
    cr_assert(shared_failure(status, EF_FAULT, 0, "ranks pass data"));
    if (mpi_rank == mpi_size - 1) array.description = ""; /* the fault of one rank alone */
    status = ef_h5_write(file, &array, mpi_rank == 0 ? x : NULL);
    cr_assert(shared_failure(status, EF_FAULT, mpi_size - 1, "description"));
    array.description = "values";
  }
  status = ef_h5_write(file, &array, mpi_rank == 0 ? x : NULL);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  status = ef_h5_write(file, &array, mpi_rank == 0 ? x : NULL);
  cr_assert(shared_failure(status, EF_MACHINE, 0, "/x"));
  status = ef_h5_set_int(file, "/", "late", 1);
  cr_assert(mpi_all(status == EF_FAULT));
  status = ef_h5_commit(file);
  cr_assert(mpi_all(status == EF_FAULT));
  MPI_Barrier(MPI_COMM_WORLD);
  cr_assert(mpi_all(!ef_file_exists(path) && !ef_file_exists(temporary)));
  remove_paths();
}

/* The last rank alone may write no more than 4 MiB: all end, the old file stays. */
MPI_TEST(store_h5, full_disk) {
  make_paths();
  ef_status status = write_file(path, MPI_COMM_WORLD, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {4 << 20, 4 << 20};
  if (mpi_rank == mpi_size - 1) setrlimit(RLIMIT_FSIZE, &limit);
  ef_h5 *file = NULL;
  size_t n = 2 << 20;
  float *x = mpi_rank == 0 ? ef_alloc(n, 4) : NULL;
  ef_h5_array array = {"/x", EF_H5_F32, 1, {n}, "values", "1", "i"};
  status = ef_h5_create(path, MPI_COMM_WORLD, &header, &file);
  if (status == EF_OK) status = ef_h5_write(file, &array, x);
  cr_assert(shared_failure(status, EF_MACHINE, mpi_size - 1, "ulimit -f"));
  ef_free(x);
  ef_h5_close(file);
  MPI_Barrier(MPI_COMM_WORLD);
  file = NULL;
  int ok = !ef_file_exists(temporary) && ef_h5_open(path, "tensors", &file) == EF_OK;
  ok = ok && ef_h5_verify(file) == EF_OK;
  ef_h5_close(file);
  cr_assert(mpi_all(ok), "%s", ef_message());
  remove_paths();
}

/* From here on the first rank may write nothing: HDF5's flush fails there alone, and no rank waits for ever.
 */
MPI_TEST(store_h5, flush_fails_on_one_rank) {
  make_paths();
  ef_h5 *file = NULL;
  ef_status status = ef_h5_create(path, MPI_COMM_WORLD, &header, &file);
  if (status == EF_OK) status = write_tensors(file, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {0, RLIM_INFINITY}, before;
  getrlimit(RLIMIT_FSIZE, &before);
  if (mpi_rank == 0) setrlimit(RLIMIT_FSIZE, &limit);
  status = ef_h5_commit(file);
  cr_assert(shared_failure(status, EF_MACHINE, 0, "cannot be written: File too large"));
  setrlimit(RLIMIT_FSIZE, &before);
  cr_assert(mpi_all(!ef_file_exists(path) && !ef_file_exists(temporary)));
  status = write_file(path, MPI_COMM_WORLD, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "the next file: %s", ef_message());
  remove_paths();
}

MPI_TEST(store_h5, abandoned) {
  make_paths();
  ef_h5 *file = NULL;
  ef_status status = ef_h5_create(path, MPI_COMM_WORLD, &header, &file);
  if (status == EF_OK) status = write_tensors(file, mpi_rank, mpi_size);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  cr_assert(mpi_all(ef_file_exists(temporary) && !ef_file_exists(path)));
  ef_h5_close(file);
  MPI_Barrier(MPI_COMM_WORLD);
  cr_assert(mpi_all(!ef_file_exists(temporary) && !ef_file_exists(path)));
  remove_paths();
}
