#include "doctor/resume.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "doctor/compare.h"
#include "doctor/scratch.h"
#include "launch/launch.h"
#include "par/subset.h"
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096, PASSED_BYTES = 1024 };

static const char *const folders[] = {"whole", "stopped", NULL};

typedef struct verification {
  ef_par *par;
  const ef_resume *spec;
  ef_stop signals;           /* between the runs */
  char passed[PASSED_BYTES]; /* trainings that were stopped: ",family,device," */
  size_t count;              /* of them */
  json_t *stops, *files;     /* on the root, owned */
  bool equal;                /* as far as compared; on the root */
} verification;

/* ---- one run ------------------------------------------------------------------------------------------- */

/* Lines of the runs themselves are left out, unless more is wanted. */
static ef_status run_quietly(ef_par *part, const ef_launch *launch) {
  bool root = ef_par_root(part), speaks = ef_log_on(EF_LOG_INFO), tells = ef_log_on(EF_LOG_VERBOSE);
  if (!tells) ef_log_setup(EF_LOG_QUIET, root);
  ef_status status = ef_launch_run(part, launch);
  if (!tells && speaks) ef_log_setup(EF_LOG_INFO, root);
  return status;
}

/* A start of the run in FOLDER/<name> on the first `ranks` ranks; the others wait. */
static ef_status start(verification *v, const char *name, int ranks, bool again, ef_stop_wish *wish) {
  char folder[PATH_BYTES];
  bool stop;
  EF_TRY(ef_stop_now(&v->signals, v->par, &stop));
  EF_TRY(EF_CHECK(!stop, EF_STOPPED, "told to stop"));
  snprintf(folder, sizeof folder, "%s/%s", v->spec->folder, name);
  ef_launch launch = {
      .deck = v->spec->deck, .method = v->spec->method, .folder = folder, .resume = again, .wish = wish};
  ef_par part;
  EF_TRY(ef_par_subset(v->par, ranks, &part));
  ef_status status = v->par->rank < ranks ? run_quietly(&part, &launch) : EF_OK;
  status = ef_par_rejoin(v->par, status);
  ef_par_finish(&part);
  return status;
}

/* ---- stops --------------------------------------------------------------------------------------------- */

/* What a rank tells of its wish; whole numbers, so that ranks exchange it. */
typedef struct told {
  int64_t name[sizeof(((ef_stop_wish *)NULL)->name) / sizeof(int64_t)], step, steps, obeyed;
} told;

/* The wish of the lowest rank that reached the middle of a training, on all ranks. */
static ef_status share_wish(ef_par *par, ef_stop_wish *wish) {
  told mine = {.step = (int64_t)wish->step, .steps = (int64_t)wish->steps, .obeyed = wish->obeyed}, *all;
  memcpy(mine.name, wish->name, sizeof mine.name);
  EF_TRY(ef_agree(par, EF_NEW(all, (size_t)par->size)));
  ef_status status =
      ef_allgather_i64(par, (const int64_t *)&mine, sizeof mine / sizeof(int64_t), (int64_t *)all);
  for (int r = par->size - 1; status == EF_OK && r >= 0; r--) {
    wish->obeyed = wish->obeyed || all[r].obeyed;
    if (!all[r].name[0]) continue;
    memcpy(wish->name, all[r].name, sizeof wish->name);
    wish->step = (size_t)all[r].step;
    wish->steps = (size_t)all[r].steps;
  }
  ef_free(all);
  return status;
}

static void note_stop(verification *v, const ef_stop_wish *wish, int ranks, int next) {
  size_t used = strlen(v->passed);
  snprintf(v->passed + used, sizeof v->passed - used, "%s%s,", used == 0 ? "," : "", wish->name);
  v->count++;
  if (!ef_par_root(v->par)) return;
  ef_log(EF_LOG_INFO, "stopped   in %s, step %zu of %zu; ranks %d -> %d", wish->name, wish->step, wish->steps,
         ranks, next);
  json_array_append_new(v->stops, json_pack("{s:s, s:I, s:I, s:i, s:i}", "in", wish->name, "step",
                                            (json_int_t)wish->step, "steps", (json_int_t)wish->steps, "ranks",
                                            ranks, "resumed_on", next));
}

/* Starts and resumes until no training is left that was not stopped. */
static ef_status run_with_stops(verification *v) {
  int all = v->par->size, ranks = all;
  for (;;) {
    ef_stop_wish wish = {.passed = v->passed};
    ef_status status = start(v, folders[1], ranks, v->count > 0, &wish);
    if (status != EF_STOPPED) return status;
    EF_TRY(share_wish(v->par, &wish));
    if (!wish.obeyed) return EF_STOPPED;
    int next = v->count % 2 == 0 ? v->spec->ranks_again : all;
    note_stop(v, &wish, ranks, next);
    ranks = next;
  }
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static ef_status compare(verification *v) {
  char whole[PATH_BYTES], other[PATH_BYTES];
  bool same, silent = v->spec->json;
  snprintf(whole, sizeof whole, "%s/%s", v->spec->folder, folders[0]);
  snprintf(other, sizeof other, "%s/%s", v->spec->folder, folders[1]);
  EF_TRY(ef_compare_runs(whole, other, silent, v->files, &v->equal));
  if (!v->spec->against) return EF_OK;
  snprintf(other, sizeof other, "%s/%s", v->spec->against, folders[0]);
  EF_TRY(ef_compare_runs(whole, other, silent, v->files, &same));
  v->equal = v->equal && same;
  return EF_OK;
}

/* What was proven, and what was not. */
static void print_verdict(const verification *v) {
  int ranks = v->par->size, again = v->spec->ranks_again;
  printf("%s: %zu stops, one in each kind of training; one run on %d rank%s against one resumed on %d",
         v->equal ? "the same bits" : "NOT the same bits", v->count, ranks, ranks == 1 ? "" : "s", again);
  printf(again < ranks ? " and %d in turn\n" : "\n", ranks);
  if (again == ranks && !v->spec->against)
    printf("not looked at: another number of ranks (start with mpirun -n 2 or more%s, or keep this one with "
           "--keep and give its folder to another launch with --against)\n",
           ranks > 1 ? " and --ranks-again below it" : "");
}

static ef_status print_json(const verification *v) {
  json_t *object =
      json_pack("{s:b, s:s, s:i, s:i, s:O, s:O}", "equal", v->equal, "method", v->spec->method->name, "ranks",
                v->par->size, "ranks_again", v->spec->ranks_again, "stops", v->stops, "files", v->files);
  bool whole = object && json_dumpf(object, stdout, 0) == 0 && putchar('\n') != EOF;
  json_decref(object);
  return EF_CHECK(whole, EF_MACHINE, "the JSON result could not be written");
}

static ef_status conclude(verification *v) {
  EF_TRY(compare(v));
  if (v->spec->json) {
    EF_TRY(print_json(v));
  } else {
    print_verdict(v);
  }
  return EF_CHECK(v->equal, EF_DIFFERS, "verify-resume: the files differ; they are kept in %s",
                  v->spec->folder);
}

static ef_status verify(verification *v) {
  bool root = ef_par_root(v->par);
  double started = ef_clock();
  EF_TRY(ef_agree(v->par, ef_stop_setup(&v->signals, NULL, 0.0)));
  EF_TRY(start(v, folders[0], v->par->size, false, NULL));
  if (root) ef_log(EF_LOG_INFO, "whole     run, ranks %d: %.1f s", v->par->size, ef_clock() - started);
  started = ef_clock();
  EF_TRY(run_with_stops(v));
  if (root) ef_log(EF_LOG_INFO, "finished  after %zu stops: %.1f s", v->count, ef_clock() - started);
  EF_TRY(EF_CHECK(v->count > 0, EF_DECK,
                  "verify-resume: no training of the deck has two steps: nothing to stop"));
  return ef_par_rejoin(v->par, root ? conclude(v) : EF_OK);
}

/* What explains a failure is kept. */
static bool keeps(const ef_resume *spec, ef_status status) {
  return spec->keep || status == EF_DIFFERS || status == EF_CHECKPOINT || status == EF_NUMBERS ||
         status == EF_FAULT;
}

/* What would fail only after the runs. */
static ef_status check_folders(const ef_resume *spec, bool *made) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", spec->against ? spec->against : "", folders[0]);
  EF_TRY(EF_CHECK(!spec->against || ef_file_exists(path), EF_USAGE,
                  "--against %s: no verification was kept there (%s is missing)", spec->against, path));
  return ef_scratch_make(spec->folder, folders, made);
}

ef_status ef_resume_verify(ef_par *par, const ef_resume *resume) {
  verification v = {.par = par, .spec = resume, .stops = json_array(), .files = json_array()};
  bool root = ef_par_root(par), made = false;
  ef_status status = root ? check_folders(resume, &made) : EF_OK;
  EF_GO(ef_par_rejoin(par, status));
  status = verify(&v);
  if (root && !keeps(resume, status)) ef_scratch_remove(resume->folder, folders, made);
  if (status == EF_STOPPED)
    status = ef_fail(EF_STOPPED, __FILE__, __LINE__,
                     "verify-resume: told to stop, nothing is proven: run it again from the start");
done:
  json_decref(v.stops);
  json_decref(v.files);
  return status;
}
