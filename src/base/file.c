#include "base/file.h"

#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, OPEN_FOLDERS = 16 };

static ef_status read_stream(FILE *stream, const char *path, ef_status code, char **data, size_t *size) {
  struct stat info;
  EF_TRY(EF_CHECK(fstat(fileno(stream), &info) == 0, code, "%s: %s", path, strerror(errno)));
  EF_TRY(EF_CHECK(S_ISREG(info.st_mode), code, "%s: not a regular file", path));
  *size = (size_t)info.st_size;
  EF_TRY(EF_NEW(*data, *size + 1));
  if (fread(*data, 1, *size, stream) == *size) return EF_OK;
  ef_free(*data);
  *data = NULL;
  return ef_fail(code, __FILE__, __LINE__, "%s: could not be read to its end: %s", path, strerror(errno));
}

ef_status ef_file_read(const char *path, ef_status code, char **data, size_t *size) {
  *data = NULL;
  FILE *stream = fopen(path, "rb");
  if (!stream) return ef_fail(code, __FILE__, __LINE__, "%s: %s", path, strerror(errno));
  ef_status status = read_stream(stream, path, code, data, size);
  fclose(stream);
  return status;
}

static ef_status sync_folder_of(const char *path) {
  char folder[PATH_BYTES];
  const char *slash = strrchr(path, '/');
  int n = slash ? (int)(slash - path) + (slash == path) : 1;
  snprintf(folder, sizeof folder, "%.*s", n, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", folder, strerror(errno));
  int rc = fsync(fd);
  close(fd);
  return EF_CHECK(rc == 0 || errno == EINVAL, EF_MACHINE, "%s: fsync: %s", folder, strerror(errno));
}

ef_status ef_file_commit(const char *temporary, const char *path) {
  int fd = open(temporary, O_RDONLY);
  if (fd < 0) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", temporary, strerror(errno));
  int rc = fsync(fd);
  close(fd);
  EF_TRY(EF_CHECK(rc == 0, EF_MACHINE, "%s: fsync: %s", temporary, strerror(errno)));
  EF_TRY(EF_CHECK(rename(temporary, path) == 0, EF_MACHINE, "%s: rename: %s", path, strerror(errno)));
  return sync_folder_of(path);
}

static ef_status write_temporary(const char *path, const void *data, size_t size) {
  FILE *stream = fopen(path, "wb");
  if (!stream) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: %s", path, strerror(errno));
  bool whole = fwrite(data, 1, size, stream) == size;
  whole = fclose(stream) == 0 && whole;
  return EF_CHECK(whole, EF_MACHINE, "%s: could not be written: %s", path, strerror(errno));
}

ef_status ef_file_write(const char *path, const void *data, size_t size) {
  char temporary[PATH_BYTES];
  int n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
  EF_TRY(EF_CHECK(n > 0 && n < PATH_BYTES, EF_MACHINE, "%.60s...: path too long", path));
  ef_status status = write_temporary(temporary, data, size);
  if (status == EF_OK) status = ef_file_commit(temporary, path);
  if (status != EF_OK) unlink(temporary);
  return status;
}

ef_status ef_folder_make(const char *path) {
  char part[PATH_BYTES];
  int n = snprintf(part, sizeof part, "%s", path);
  EF_TRY(EF_CHECK(n > 0 && n < PATH_BYTES, EF_MACHINE, "%.60s...: path too long", path));
  for (char *p = part + 1;; p++) {
    if (*p != '/' && *p != '\0') continue;
    char end = *p;
    *p = '\0';
    if (mkdir(part, 0777) != 0 && errno != EEXIST) {
      return ef_fail(EF_MACHINE, __FILE__, __LINE__, "%s: cannot make the folder: %s", part, strerror(errno));
    }
    if (end == '\0') break;
    *p = end;
  }
  struct stat info;
  bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
  return EF_CHECK(folder, EF_MACHINE, "%s: is not a folder", path);
}

bool ef_file_exists(const char *path) { return access(path, F_OK) == 0; }

size_t ef_disk_free(const char *path) {
  struct statvfs info;
  if (statvfs(path, &info) != 0) return 0;
  return (size_t)info.f_bavail * (size_t)info.f_frsize;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info;
  (void)kind;
  (void)place;
  remove(path);
  return 0;
}

void ef_folder_remove(const char *path) { nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS); }
