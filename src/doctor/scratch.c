#include "doctor/scratch.h"

#include "base/file.h"
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

ef_status ef_scratch_make(const char *folder, const char *const *names, bool *made) {
  *made = !ef_file_exists(folder);
  for (; *names; names++) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, *names);
    EF_TRY(EF_CHECK(!ef_file_exists(path), EF_USAGE,
                    "%s is there, from an earlier verification: remove it, or name another folder with --out",
                    path));
  }
  return ef_folder_make(folder);
}

void ef_scratch_remove(const char *folder, const char *const *names, bool made) {
  for (; *names; names++) {
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, *names);
    ef_folder_remove(path);
  }
  if (made) rmdir(folder);
}
