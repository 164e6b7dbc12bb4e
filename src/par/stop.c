#include "par/stop.h"

#include "base/clock.h"
#include "base/file.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* In ascending weight: the heaviest reason of all ranks is the one that is told. */
enum { NONE, WISH, TIME_LIMIT, STOP_FILE, USR1, TERM };

static volatile sig_atomic_t signalled; /* NONE, USR1 or TERM; written by the handler */

static void on_signal(int number) { signalled = number == SIGTERM ? TERM : USR1; }

static bool mask_usr1(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  return pthread_sigmask(how, &set, NULL) == 0;
}

void ef_stop_hold(void) { mask_usr1(SIG_BLOCK); }

/* Seconds that the batch system leaves to this job; 0: no limit. A job that is still there after its end has
 * no end that could be kept. */
static double slot_left(void) {
  const char *text = getenv("SLURM_JOB_END_TIME");
  char *rest;
  double end = text ? strtod(text, &rest) : 0.0, now = (double)time(NULL);
  if (!text || *rest || !isfinite(end) || end <= now) return 0.0;
  return fmax(end - now - EF_SLOT_MARGIN, 1e-3);
}

ef_status ef_stop_setup(ef_stop *stop, const char *file, double limit) {
  double slot = slot_left();
  *stop = (ef_stop){.started = ef_clock(), .limit = limit};
  if (slot > 0.0 && (limit <= 0.0 || slot < limit)) stop->limit = slot;
  int n = snprintf(stop->file, sizeof stop->file, "%s", file ? file : "");
  EF_TRY(EF_CHECK(n >= 0 && (size_t)n < sizeof stop->file, EF_INPUT, "path of the stop file is too long: %s",
                  file));
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  bool caught = sigaction(SIGTERM, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0;
  caught = mask_usr1(SIG_UNBLOCK) && caught;
  return EF_CHECK(caught, EF_MACHINE, "SIGTERM and SIGUSR1 cannot be caught");
}

static int look(const ef_stop *stop) {
  if (signalled != NONE) return signalled;
  if (stop->file[0] && ef_file_exists(stop->file)) return STOP_FILE;
  bool late = stop->limit > 0.0 && ef_clock() - stop->started + stop->reserve >= stop->limit;
  return late ? TIME_LIMIT : NONE;
}

bool ef_stop_poll(ef_stop *stop) {
  if (stop->polled == NONE) stop->polled = look(stop);
  return stop->polled != NONE;
}

void ef_stop_reached(ef_stop *stop, const char *name, size_t step, size_t steps) {
  ef_stop_wish *wish = stop->wish;
  char word[sizeof wish->name + 2];
  if (!wish || wish->name[0] || 2 * step < steps || step == steps) return;
  snprintf(word, sizeof word, ",%s,", name);
  if (strstr(wish->passed, word)) return;
  snprintf(wish->name, sizeof wish->name, "%s", name);
  wish->step = step;
  wish->steps = steps;
  if (stop->polled == NONE) stop->polled = WISH;
}

ef_status ef_stop_now(ef_stop *stop, ef_par *par, bool *stop_now) {
  int mine = stop->reason > stop->polled ? stop->reason : stop->polled;
  if (signalled > mine) mine = signalled;
  if (mine == NONE && ef_par_root(par)) mine = look(stop);
  int64_t all;
  EF_TRY(ef_most(par, mine, &all));
  if (all == STOP_FILE && ef_par_root(par)) unlink(stop->file);
  if (all >= USR1) signalled = NONE;
  stop->reason = (int)all;
  if (stop->wish) stop->wish->obeyed = all == WISH;
  *stop_now = all != NONE;
  return EF_OK;
}

const char *ef_stop_reason(const ef_stop *stop) {
  static const char *const names[] = {"", "request", "time limit", "stop file", "SIGUSR1", "SIGTERM"};
  return names[stop->reason];
}
