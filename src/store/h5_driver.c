/* A file driver for serial writing whose writes never fail towards HDF5. HDF5 1.10 cannot close a file that
 * it could not write: it stays half alive and the process crashes at its exit. So the driver keeps the first
 * error for us, drops what comes after it, and HDF5 closes in peace; the file is then removed and the error
 * reported.
 */
#include "store/h5_internal.h"

#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct driver_info {
  int *error; /* borrowed from the ef_h5 */
} driver_info;

typedef struct driver_file {
  H5FD_t shared; /* first member: HDF5's own part */
  int fd, *error;
  haddr_t allocated, end;
} driver_file;

static void note(int *error) {
  if (*error == 0) *error = errno ? errno : EIO;
}

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t most) {
  (void)most;
  const driver_info *info = H5Pget_driver_info(access);
  struct stat about;
  driver_file *file = info ? ef_alloc(1, sizeof *file) : NULL;
  if (!file) return NULL;
  file->error = info->error;
  file->fd = open(
      name, O_RDWR | (flags & H5F_ACC_TRUNC ? O_TRUNC : 0) | (flags & H5F_ACC_CREAT ? O_CREAT : 0), 0666);
  if (file->fd < 0 || fstat(file->fd, &about) != 0) {
    note(file->error);
    if (file->fd >= 0) close(file->fd);
    ef_free(file);
    return NULL;
  }
  file->end = (haddr_t)about.st_size;
  return &file->shared;
}

static herr_t close_file(H5FD_t *shared) {
  driver_file *file = (driver_file *)shared;
  if (close(file->fd) != 0) note(file->error);
  ef_free(file);
  return 0;
}

static herr_t query(const H5FD_t *shared, unsigned long *flags) {
  (void)shared;
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA;
  return 0;
}

static haddr_t get_allocated(const H5FD_t *shared, H5FD_mem_t type) {
  (void)type;
  return ((const driver_file *)shared)->allocated;
}

static herr_t set_allocated(H5FD_t *shared, H5FD_mem_t type, haddr_t address) {
  (void)type;
  ((driver_file *)shared)->allocated = address;
  return 0;
}

static haddr_t get_end(const H5FD_t *shared, H5FD_mem_t type) {
  (void)type;
  return ((const driver_file *)shared)->end;
}

static herr_t get_handle(H5FD_t *shared, hid_t access, void **handle) {
  (void)access;
  *handle = &((driver_file *)shared)->fd;
  return 0;
}

/* What lies beyond the end, or was dropped, reads as zeros. */
static herr_t read_bytes(H5FD_t *shared, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                         void *buffer) {
  (void)type;
  (void)transfer;
  driver_file *file = (driver_file *)shared;
  char *out = buffer;
  while (size > 0) {
    ssize_t n = pread(file->fd, out, size, (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) note(file->error);
    if (n <= 0) break;
    out += n;
    size -= (size_t)n;
    at += (haddr_t)n;
  }
  for (; size > 0; size--) *out++ = 0;
  return 0;
}

static herr_t write_bytes(H5FD_t *shared, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                          const void *buffer) {
  (void)type;
  (void)transfer;
  driver_file *file = (driver_file *)shared;
  const char *in = buffer;
  haddr_t end = at + size;
  while (size > 0 && *file->error == 0) {
    ssize_t n = pwrite(file->fd, in, size, (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      note(file->error);
      break;
    }
    in += n;
    size -= (size_t)n;
    at += (haddr_t)n;
  }
  if (end > file->end) file->end = end;
  return 0;
}

static herr_t cut(H5FD_t *shared, hid_t transfer, hbool_t closing) {
  (void)transfer;
  (void)closing;
  driver_file *file = (driver_file *)shared;
  if (file->allocated == file->end) return 0;
  if (*file->error == 0 && ftruncate(file->fd, (off_t)file->allocated) != 0) note(file->error);
  file->end = file->allocated;
  return 0;
}

static const H5FD_class_t driver = {
    .name = "edgefuse",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(driver_info),
    .open = open_file,
    .close = close_file,
    .query = query,
    .get_eoa = get_allocated,
    .set_eoa = set_allocated,
    .get_eof = get_end,
    .get_handle = get_handle,
    .read = read_bytes,
    .write = write_bytes,
    .truncate = cut,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

bool ef_h5_use_driver(hid_t access, int *error) {
  driver_info info = {error};
  hid_t id = H5FDregister(&driver);
  bool ok = id >= 0 && H5Pset_driver(access, id, &info) >= 0;
  if (id >= 0) H5FDunregister(id);
  return ok;
}
