/* Disks that fill up: the error is clear, the old file stays, nothing half written is left. */
#include "store/h5_internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "sample.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[256], path[512], temporary[512];

static void up(void) {
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/a.h5", folder);
  snprintf(temporary, sizeof temporary, "%s/a.h5.tmp", folder);
}

static void down(void) {
  umount(folder);
  test_remove_folder(folder);
}

TestSuite(h5_disk, .init = up, .fini = down);

static ef_status write_large(size_t n) {
  float *x = ef_alloc(n, 4);
  ef_h5 *file = NULL;
  ef_status status = ef_h5_create(path, MPI_COMM_NULL, &sample_header, &file);
  ef_h5_array array = {"/x", EF_H5_F32, 1, {n}, "much", "1", "i"};
  for (int i = 0; i < 4 && status == EF_OK; i++) {
    char name[16];
    snprintf(name, sizeof name, "/x%d", i);
    array.path = name;
    status = ef_h5_write(file, &array, x);
  }
  ef_free(x);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

static void check_old_file_stays(void) {
  ef_h5 *file = NULL;
  cr_assert_eq(write_large(1 << 20), EF_MACHINE);
  cr_assert(strstr(ef_message(), path), "%s", ef_message());
  cr_assert(!ef_file_exists(temporary));
  cr_assert_eq(ef_h5_open(path, "tensors", &file), EF_OK, "%s", ef_message());
  cr_assert(sample_equal(file));
  ef_h5_close(file);
}

Test(h5_disk, full_file_system) {
  if (mount("none", folder, "tmpfs", 0, "size=8m") != 0) cr_skip_test("no right to mount");
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  check_old_file_stays();
  cr_assert_eq(write_large(1 << 20), EF_MACHINE);
  cr_assert(strstr(ef_message(), "No space left"), "%s", ef_message());
}

Test(h5_disk, full_before_the_first_byte) {
  if (mount("none", folder, "tmpfs", 0, "size=256k") != 0) cr_skip_test("no right to mount");
  ef_h5 *file = NULL;
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &sample_header, &file), EF_MACHINE);
  cr_assert(strstr(ef_message(), "No space left"), "%s", ef_message());
  cr_assert(!ef_file_exists(temporary) && !file);
}

Test(h5_disk, limit_of_file_size) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {6 << 20, 6 << 20};
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  check_old_file_stays();
  cr_assert_eq(write_large(1 << 20), EF_MACHINE);
  cr_assert(strstr(ef_message(), "ulimit -f"), "%s", ef_message());
}

/* Makes the descriptor under HDF5 read-only: every write from here on fails with EBADF. */
static void break_descriptor(ef_h5 *file) {
  void *handle = NULL;
  cr_assert(H5Fget_vfd_handle(file->id, H5P_DEFAULT, &handle) >= 0);
  int fd = open("/dev/null", O_RDONLY);
  cr_assert(fd >= 0 && dup2(fd, *(int *)handle) >= 0);
  close(fd);
}

/* The error comes after the space was promised, inside HDF5; the process must still end in peace. */
Test(h5_disk, write_error_inside_hdf5) {
  cr_assert_eq(sample_write(path), EF_OK, "%s", ef_message());
  for (int late = 0; late < 2; late++) {
    ef_h5 *file = NULL;
    cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &sample_header, &file), EF_OK, "%s", ef_message());
    if (late) cr_assert_eq(sample_fill(file, 0, 1), EF_OK, "%s", ef_message());
    break_descriptor(file);
    if (late) {
      cr_assert_eq(ef_h5_commit(file), EF_MACHINE);
    } else {
      cr_assert_eq(sample_fill(file, 0, 1), EF_MACHINE);
      ef_h5_close(file);
    }
    cr_assert(strstr(ef_message(), "cannot be written: Bad file descriptor"), "%s", ef_message());
    cr_assert(!ef_file_exists(temporary));
    cr_assert_eq(ef_h5_open(path, "tensors", &file), EF_OK, "%s", ef_message());
    cr_assert(sample_equal(file));
    ef_h5_close(file);
  }
}

Test(h5_disk, folder_that_is_missing) {
  ef_h5 *file = NULL;
  snprintf(path, sizeof path, "%s/none/a.h5", folder);
  cr_assert_eq(ef_h5_create(path, MPI_COMM_NULL, &sample_header, &file), EF_MACHINE);
  cr_assert(strstr(ef_message(), "No such file"), "%s", ef_message());
}
