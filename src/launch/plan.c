#include "base/file.h"
#include "base/memory.h"
#include "launch/launch.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The plan needs the text, but leaves nothing: it is cut in a folder for temporary files. Text that the run
 * folder holds already is taken from there, if its settings fit: the settings are copied and the tokens are
 * linked, so that ef_launch_prepare finds them and what it may write replaces the link, not the file. */

enum { FOLDER_BYTES = 2048, PATH_BYTES = 4096 };

static ef_status make_folder(char *folder, size_t size) {
  const char *place = getenv("TMPDIR");
  snprintf(folder, size, "%s/edgefuse_plan_XXXXXX", place && place[0] ? place : "/tmp");
  return EF_CHECK(mkdtemp(folder), EF_MACHINE, "%s: %s", folder, strerror(errno));
}

static ef_status borrow_text(const char *from, const char *folder) {
  char path[PATH_BYTES], link[PATH_BYTES], target[PATH_MAX], *settings = NULL;
  size_t bytes;
  snprintf(path, sizeof path, "%s/tokens/tokens.h5", from);
  if (!realpath(path, target)) return EF_OK;
  snprintf(path, sizeof path, "%s/tokens/settings.yaml", from);
  if (!ef_file_exists(path)) return EF_OK;
  EF_TRY(ef_file_read(path, EF_MACHINE, &settings, &bytes));
  ef_status status = EF_OK;
  snprintf(path, sizeof path, "%s/tokens", folder);
  snprintf(link, sizeof link, "%s/tokens/tokens.h5", folder);
  EF_GO(ef_folder_make(path));
  EF_GO(EF_CHECK(symlink(target, link) == 0, EF_MACHINE, "%s: %s", link, strerror(errno)));
  snprintf(path, sizeof path, "%s/tokens/settings.yaml", folder);
  EF_GO(ef_file_write(path, settings, bytes));
done:
  ef_free(settings);
  return status;
}

static ef_status plan_in(const ef_launch *launch, const char *folder, bool timed, ef_plan *plan) {
  ef_par alone = ef_par_alone();
  ef_run run = {0};
  EF_TRY(borrow_text(launch->folder, folder));
  EF_TRY(ef_launch_prepare(&alone, launch->deck, folder));
  EF_TRY(ef_run_open(&alone, launch->deck, folder, &run));
  ef_status status = ef_plan_make(&run, launch->method, launch->layout, plan);
  if (status == EF_OK && timed)
    status =
        ef_plan_time(&run, launch->method, launch->network ? launch->network : &EF_PLAN_INTERCONNECT, plan);
  ef_run_close(&run);
  return status;
}

ef_status ef_launch_plan_make(const ef_launch *launch, bool timed, ef_plan *plan) {
  char folder[FOLDER_BYTES];
  EF_TRY(make_folder(folder, sizeof folder));
  ef_status status = plan_in(launch, folder, timed, plan);
  ef_folder_remove(folder);
  return status;
}

static ef_status plan_root(const ef_launch *launch, ef_layout here) {
  ef_launch whole = *launch;
  ef_plan plan;
  if (whole.layout.ranks == 0) whole.layout = here;
  EF_TRY(ef_launch_plan_make(&whole, true, &plan));
  ef_plan_print(&plan, launch->json, stdout);
  return EF_OK;
}

ef_status ef_launch_plan(ef_par *par, const ef_launch *launch) {
  return ef_agree(par, ef_par_root(par) ? plan_root(launch, ef_layout_of(par)) : EF_OK);
}
