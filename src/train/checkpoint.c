#include "train/checkpoint.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static const char *method_of(const ef_run *run) { return run->method ? run->method : "none"; }

ef_status ef_checkpoint_create(ef_run *run, const char *phase, size_t step, ef_h5 **file) {
  char path[PATH_BYTES], identity[33];
  EF_TRY(ef_run_identity(run, run->sections, identity));
  ef_run_path(run, path, sizeof path, "checkpoint/step_%08zu.h5", step);
  ef_h5_header header = {
      .kind = "run", .deck = run->deck->yaml, .seed = (uint64_t)run->deck->run.seed, .ranks = run->par->size};
  EF_TRY(ef_h5_create(path, run->par->world, &header, file));
  ef_status status = EF_OK;
  EF_GO(ef_h5_set_text(*file, "/", "identity", identity));
  EF_GO(ef_h5_set_text(*file, "/", "method", method_of(run)));
  EF_GO(ef_h5_set_text(*file, "/", "text", run->tokens.hash));
  EF_GO(ef_h5_set_text(*file, "/", "phase", phase));
  EF_GO(ef_h5_set_int(*file, "/", "step", (int64_t)step));
  EF_GO(ef_h5_set_text(*file, "/", "random",
                       "philox4x32-10, keyed by seed, purpose, unit and step: no further state"));
done:
  if (status == EF_OK) return EF_OK;
  ef_h5_close(*file);
  *file = NULL;
  return status;
}

/* Names of the checkpoints, newest (highest step) first. */
static int newest_first(const void *a, const void *b) {
  const char *const *x = a, *const *y = b;
  return strcmp(*y, *x);
}

static ef_status list(const ef_run *run, char ***names, size_t *count) {
  char folder[PATH_BYTES];
  ef_run_path(run, folder, sizeof folder, "checkpoint");
  *names = NULL;
  *count = 0;
  DIR *dir = opendir(folder);
  if (!dir) return EF_OK;
  ef_status status = EF_OK;
  for (struct dirent *entry; status == EF_OK && (entry = readdir(dir));) {
    size_t n = strlen(entry->d_name);
    if (strncmp(entry->d_name, "step_", 5) != 0 || n < 4 || strcmp(entry->d_name + n - 3, ".h5") != 0)
      continue;
    char **grown = ef_realloc(*names, *count + 1, sizeof **names);
    status = EF_CHECK(grown, EF_MACHINE, "out of memory");
    if (status != EF_OK) break;
    *names = grown;
    status = EF_CHECK(grown[*count] = ef_strdup(entry->d_name), EF_MACHINE, "out of memory");
    if (status == EF_OK) ++*count;
  }
  closedir(dir);
  if (*count > 1) qsort(*names, *count, sizeof **names, newest_first);
  return status;
}

static void free_names(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) ef_free(names[i]);
  ef_free(names);
}

static ef_status prune(const ef_run *run) {
  char **names, path[PATH_BYTES];
  size_t count;
  EF_TRY(list(run, &names, &count));
  for (size_t i = (size_t)run->deck->run.keep; i < count; i++) {
    ef_run_path(run, path, sizeof path, "checkpoint/%s", names[i]);
    unlink(path);
  }
  free_names(names, count);
  return EF_OK;
}

ef_status ef_checkpoint_commit(ef_run *run, ef_h5 *file, double started) {
  EF_TRY(ef_h5_commit(file));
  double seconds = ef_clock() - started;
  if (seconds > run->stop.reserve) run->stop.reserve = seconds;
  run->last_checkpoint = ef_clock();
  return ef_agree(run->par, ef_par_root(run->par) ? prune(run) : EF_OK);
}

static ef_status read_origin(const char *path, char **method, char **identity) {
  ef_h5 *file = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_h5_open(path, "run", &file));
  EF_GO(ef_h5_verify(file));
  EF_GO(ef_h5_get_text(file, "/", "method", method));
  EF_GO(ef_h5_get_text(file, "/", "identity", identity));
done:
  ef_h5_close(file);
  return status;
}

static ef_status check_origin(const ef_run *run, const char *path, const char *method, const char *found) {
  char identity[33];
  EF_TRY(ef_run_identity(run, run->sections, identity));
  EF_TRY(EF_CHECK(strcmp(method, method_of(run)) == 0, EF_CHECKPOINT,
                  "%s: made by method %s, not %s; give --method %s or another --out folder", path, method,
                  method_of(run), method));
  return EF_CHECK(
      strcmp(found, identity) == 0, EF_CHECKPOINT,
      "%s: made with another deck, seed or text; use the deck of that run (deck.yaml beside it) or another "
      "--out folder",
      path);
}

/* EF_OK and *usable: take it; EF_OK and not: damaged; EF_CHECKPOINT: of another run. */
static ef_status examine(const ef_run *run, const char *path, bool *usable) {
  char *method = NULL, *found = NULL;
  ef_status status = read_origin(path, &method, &found);
  *usable = status == EF_OK;
  if (*usable)
    status = check_origin(run, path, method, found);
  else
    ef_warn("%s; it is passed over", ef_message());
  ef_free(method);
  ef_free(found);
  return *usable ? status : EF_OK;
}

static ef_status find_newest(const ef_run *run, char *path, size_t size) {
  char **names;
  size_t count;
  bool usable = false;
  EF_TRY(list(run, &names, &count));
  ef_status status = EF_OK;
  for (size_t i = 0; i < count && status == EF_OK && !usable; i++) {
    ef_run_path(run, path, size, "checkpoint/%s", names[i]);
    status = examine(run, path, &usable);
  }
  free_names(names, count);
  if (status == EF_OK && !usable) path[0] = '\0';
  if (status != EF_OK || usable || count == 0) return status;
  return ef_fail(EF_CHECKPOINT, __FILE__, __LINE__,
                 "%s/checkpoint: none of %zu checkpoints is whole; remove them to start anew", run->folder,
                 count);
}

ef_status ef_checkpoint_newest(ef_run *run, char *path, size_t size) {
  memset(path, 0, size);
  ef_status status = ef_par_root(run->par) ? find_newest(run, path, size) : EF_OK;
  EF_TRY(ef_agree(run->par, status));
  return ef_bcast(run->par, 0, path, size);
}

ef_status ef_checkpoint_steps(ef_run *run, size_t *steps) {
  int64_t mine = (int64_t)run->steps, *all = NULL;
  EF_TRY(EF_NEW(all, (size_t)run->par->size));
  ef_status status = ef_allgather_i64(run->par, &mine, 1, all);
  *steps = 0;
  for (int i = 0; status == EF_OK && i < run->par->size; i++) *steps += (size_t)all[i];
  ef_free(all);
  return status;
}
