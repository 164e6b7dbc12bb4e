/* Files that are never half written: a file appears under its final name whole and synced, or not at all. */
#pragma once

#include "base/status.h"
#include <stddef.h>

/* Reads a whole file into counted memory and ends it with a NUL that `size` does not count; the caller frees
 * `*data`. Errors carry the code `code` (EF_INPUT for text, EF_CHECKPOINT for checkpoints). Local. */
ef_status ef_file_read(const char *path, ef_status code, char **data, size_t *size);

/* Writes a file through "<path>.tmp": write, fsync, rename, fsync of the folder. EF_MACHINE on failure; the
 * temporary file is then removed and an older file under `path` stays as it was. Local. */
ef_status ef_file_write(const char *path, const void *data, size_t size);

/* The last steps alone, for files that a library has written under a temporary name. Local. */
ef_status ef_file_commit(const char *temporary, const char *path);

/* Makes a folder and its parents; one that exists is fine. EF_MACHINE on failure. Local. */
ef_status ef_folder_make(const char *path);
/* Removes a file, or a folder with all that is in it, as far as it can; links are not followed. Local. */
void ef_folder_remove(const char *path);

bool ef_file_exists(const char *path);

/* Bytes free for this user on the file system of `path`; 0 when unknown. Local. */
size_t ef_disk_free(const char *path);
