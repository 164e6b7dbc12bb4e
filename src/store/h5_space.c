#include "store/h5_internal.h"

#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static ef_status full(const ef_h5 *file, size_t more, const char *why) {
  return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: cannot write %zu more bytes: %s", file->path, more,
                 why);
}

static ef_status check_limit(const ef_h5 *file, size_t more) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return EF_OK;
  return limit.rlim_cur >= file->reserved + more ? EF_OK
                                                 : full(file, more, "limit of the file size (ulimit -f)");
}

/* File systems without fallocate: the free space is compared with twice the need, as others write too. */
static ef_status check_free(const ef_h5 *file, size_t more) {
  size_t left = ef_disk_free(file->temporary);
  return left == 0 || left / 2 >= more ? EF_OK : full(file, more, strerror(ENOSPC));
}

ef_status ef_h5_reserve(ef_h5 *file, size_t more) {
  EF_TRY(check_limit(file, more));
  size_t old = file->reserved;
  file->reserved += more;
  if (file->rank != 0) return EF_OK;
  int fd = open(file->temporary, O_WRONLY);
  if (fd < 0) return full(file, more, strerror(errno));
  int rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)old, (off_t)more);
  int error = rc == 0 ? 0 : errno;
  close(fd);
  if (error == EOPNOTSUPP || error == ENOSYS) return check_free(file, more);
  return error == 0 ? EF_OK : full(file, more, strerror(error));
}

void ef_h5_release(const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return;
  /* Blocks beyond the end go with a truncation to the present size; failure costs only space. */
  if (truncate(path, info.st_size) != 0) return;
}
