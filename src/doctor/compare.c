#include "doctor/compare.h"

#include "base/file.h"
#include "store/inspect.h"
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

static int is_checkpoint(const struct dirent *entry) { return fnmatch("step_*.h5", entry->d_name, 0) == 0; }

/* "checkpoint/step_00000106.h5" of the highest step. */
static ef_status newest(const char *folder, char *name, size_t size) {
  char path[PATH_BYTES];
  struct dirent **entries = NULL;
  snprintf(path, sizeof path, "%s/checkpoint", folder);
  int count = scandir(path, &entries, is_checkpoint, alphasort);
  EF_TRY(EF_CHECK(count > 0, EF_CHECKPOINT, "%s: holds no checkpoint", path));
  snprintf(name, size, "checkpoint/%s", entries[count - 1]->d_name);
  for (int i = 0; i < count; i++) free(entries[i]);
  free(entries);
  return EF_OK;
}

/* What diff --json prints. */
static ef_status diff_json(const char *a, const char *b, json_t **object) {
  char *text = NULL;
  size_t bytes;
  FILE *stream = open_memstream(&text, &bytes);
  EF_TRY(EF_CHECK(stream, EF_MACHINE, "out of memory"));
  ef_status status = ef_diff(a, b, true, stream);
  fclose(stream);
  *object = status == EF_OK || status == EF_DIFFERS ? json_loads(text, 0, NULL) : NULL;
  free(text);
  if (status == EF_DIFFERS) status = EF_OK;
  EF_TRY(status);
  return EF_CHECK(*object, EF_MACHINE, "out of memory");
}

static ef_status compare_files(const char *a, const char *b, const char *in_a, const char *in_b, bool silent,
                               json_t *files, bool *equal) {
  char x[PATH_BYTES], y[PATH_BYTES];
  json_t *object = NULL;
  snprintf(x, sizeof x, "%s/%s", a, in_a);
  snprintf(y, sizeof y, "%s/%s", b, in_b);
  EF_TRY(diff_json(x, y, &object));
  bool same = json_is_true(json_object_get(object, "equal"));
  long long compared = (long long)json_integer_value(json_object_get(object, "compared"));
  *equal = *equal && same;
  json_array_append_new(files, object);
  if (silent) return EF_OK;
  printf("%-5s  %s against %s: %lld datasets\n", same ? "equal" : "they differ", x, y, compared);
  if (!same) (void)ef_diff(x, y, false, stdout);
  return EF_OK;
}

ef_status ef_compare_runs(const char *a, const char *b, bool silent, json_t *files, bool *equal) {
  static const char *const names[] = {"run.h5", "market.h5"};
  char in_a[PATH_BYTES], in_b[PATH_BYTES];
  *equal = true;
  EF_TRY(newest(a, in_a, sizeof in_a));
  EF_TRY(newest(b, in_b, sizeof in_b));
  EF_TRY(compare_files(a, b, in_a, in_b, silent, files, equal));
  *equal = *equal && strcmp(in_a, in_b) == 0; /* as many steps */
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/%s", a, names[i]);
    if (i > 0 && !ef_file_exists(path)) continue; /* a deck may clear no market */
    EF_TRY(compare_files(a, b, names[i], names[i], silent, files, equal));
  }
  return EF_OK;
}
