#include "doctor/probe.h"

#include "base/file.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int fatal[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT, SIGPIPE};
enum { FATAL = sizeof fatal / sizeof *fatal };

/* What the handler removes, and what the signals did before. */
static char guarded[2][EF_PROBE_BYTES + 8];
static struct sigaction before[FATAL];
static bool guarding;

static void on_signal(int number) {
  unlink(guarded[0]);
  unlink(guarded[1]);
  signal(number, SIG_DFL);
  raise(number);
}

void ef_probe_guard(const ef_probe *probe) {
  struct sigaction action = {.sa_handler = on_signal};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < FATAL && guarding; i++) sigaction(fatal[i], &before[i], NULL);
  guarding = probe != NULL;
  if (!probe) return;
  snprintf(guarded[0], sizeof guarded[0], "%s", probe->path);
  snprintf(guarded[1], sizeof guarded[1], "%s.tmp", probe->path);
  for (int i = 0; i < FATAL; i++) sigaction(fatal[i], &action, &before[i]);
}

void ef_probe_remove(const ef_probe *probe) {
  char temporary[EF_PROBE_BYTES + 8];
  snprintf(temporary, sizeof temporary, "%s.tmp", probe->path);
  unlink(probe->path);
  unlink(temporary);
}

/* Cuts the last name of a path off: "a/b" to "a", "a" to ".", "/a" to "/". */
static void cut(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash) {
    path[0] = '.';
    path[1] = '\0';
  } else {
    slash[slash == path] = '\0';
  }
}

static ef_status place(const char *folder, ef_probe *probe) {
  *probe = (ef_probe){0};
  int n = snprintf(probe->folder, sizeof probe->folder, "%s", folder);
  EF_TRY(
      EF_CHECK(n > 0 && (size_t)n < sizeof probe->folder, EF_MACHINE, "%.60s: no path of a folder", folder));
  while (n > 1 && probe->folder[n - 1] == '/') probe->folder[--n] = '\0';
  while (!ef_file_exists(probe->folder) && strcmp(probe->folder, ".") != 0 &&
         strcmp(probe->folder, "/") != 0) {
    cut(probe->folder);
    probe->parent = true;
  }
  snprintf(probe->path, sizeof probe->path, "%s/edgefuse-doctor-%ld.h5", probe->folder, (long)getpid());
  return EF_OK;
}

ef_status ef_probe_place(ef_par *par, const char *folder, ef_probe *probe) {
  EF_TRY(ef_agree(par, ef_par_root(par) ? place(folder, probe) : EF_OK));
  return ef_bcast(par, 0, probe, sizeof *probe);
}
