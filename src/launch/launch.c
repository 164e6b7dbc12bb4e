#include "launch/launch.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "par/units.h"
#include "report/report.h"
#include "text/prepare.h"
#include "train/checkpoint.h"
#include "train/events.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* ---- text ---------------------------------------------------------------------------------------------- */

/* Folder of relative file names: the deck's key, $EDGEFUSE_DATA, or the folder of the deck. */
static const char *text_folder(const ef_deck *deck) {
  if (deck->text.folder[0]) return deck->text.folder;
  const char *data = getenv("EDGEFUSE_DATA");
  return data && data[0] ? data : deck->folder;
}

/* Absolute names stay; a relative one that is not in the text folder may stand beside the deck. */
static ef_status resolve(const ef_deck *deck, const ef_list *names, char **paths) {
  for (size_t i = 0; i < names->count; i++) {
    char path[PATH_BYTES];
    const char *name = names->items[i];
    if (name[0] == '/') {
      snprintf(path, sizeof path, "%s", name);
    } else {
      snprintf(path, sizeof path, "%s/%s", text_folder(deck), name);
      if (!ef_file_exists(path)) snprintf(path, sizeof path, "%s/%s", deck->folder, name);
    }
    EF_TRY(EF_CHECK(paths[i] = ef_strdup(path), EF_MACHINE, "out of memory"));
  }
  return EF_OK;
}

static ef_status prepare(const ef_deck *deck, const char *path) {
  size_t files = deck->text.files.count, validation = deck->text.validation_files.count;
  char **paths = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_CHECK(files > 0, EF_DECK,
                 "text.files: no file is named; give at least one JSON-lines or text file"));
  EF_GO(EF_NEW(paths, files + validation));
  EF_GO(resolve(deck, &deck->text.files, paths));
  EF_GO(resolve(deck, &deck->text.validation_files, paths + files));
  ef_prepare settings = {.files = (const char *const *)paths,
                         .file_count = files,
                         .validation_files = (const char *const *)(paths + files),
                         .validation_file_count = validation,
                         .by_subdomain = strcmp(deck->text.domain, "subdomain") == 0,
                         .vocabulary = (size_t)deck->text.vocabulary,
                         .public_share = deck->text.public_share,
                         .validation_share = deck->text.validation_share,
                         .seed = (uint64_t)deck->run.seed,
                         .deck = deck->yaml};
  EF_GO(ef_prepare_run(&settings, path));
done:
  for (size_t i = 0; paths && i < files + validation; i++) ef_free(paths[i]);
  ef_free(paths);
  return status;
}

/* The settings behind a token file stand beside it; equal settings, equal file. */
static ef_status settings_text(const ef_deck *deck, char **text) {
  char *yaml = NULL;
  EF_TRY(ef_deck_dump(deck, "text", &yaml));
  size_t bytes = strlen(yaml) + 64;
  ef_status status = EF_NEW(*text, bytes);
  if (status == EF_OK) snprintf(*text, bytes, "# seed %lld\n%s", (long long)deck->run.seed, yaml);
  ef_free(yaml);
  return status;
}

static bool same_text(const char *path, const char *text) {
  char *found = NULL;
  size_t bytes;
  if (!ef_file_exists(path) || ef_file_read(path, EF_INPUT, &found, &bytes) != EF_OK) return false;
  bool same = strcmp(found, text) == 0;
  ef_free(found);
  return same;
}

static ef_status prepare_root(const ef_deck *deck, const char *folder) {
  char path[PATH_BYTES], beside[PATH_BYTES], tokens[PATH_BYTES], *text = NULL;
  snprintf(path, sizeof path, "%s/tokens/tokens.h5", folder);
  snprintf(beside, sizeof beside, "%s/tokens/settings.yaml", folder);
  snprintf(tokens, sizeof tokens, "%s/tokens", folder);
  EF_TRY(ef_folder_make(tokens));
  EF_TRY(settings_text(deck, &text));
  ef_status status = EF_OK;
  if (ef_file_exists(path) && same_text(beside, text)) goto done;
  EF_GO(prepare(deck, path));
  EF_GO(ef_file_write(beside, text, strlen(text)));
done:
  ef_free(text);
  return status;
}

ef_status ef_launch_prepare(ef_par *par, const ef_deck *deck, const char *folder) {
  return ef_agree(par, ef_par_root(par) ? prepare_root(deck, folder) : EF_OK);
}

/* ---- the run folder ------------------------------------------------------------------------------------ */

static ef_status make_folder(const ef_launch *launch, const char *name) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", launch->folder, name);
  return ef_folder_make(path);
}

static ef_status open_folder(const ef_launch *launch) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/deck.yaml", launch->folder);
  EF_TRY(EF_CHECK(launch->resume || !ef_file_exists(path), EF_USAGE,
                  "%s holds a run: add --resume to go on with it, or name another folder with --out",
                  launch->folder));
  EF_TRY(make_folder(launch, "checkpoint"));
  return make_folder(launch, "parts");
}

/* The deck makes the folder a run, so it comes when deck and text are known to be good and goes when the
 * method refuses it; a resumed run keeps its own until it is known to be the same run. */
static ef_status keep_deck(const ef_launch *launch) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/deck.yaml", launch->folder);
  return ef_file_write(path, launch->deck->yaml, strlen(launch->deck->yaml));
}

static void forget_deck(const ef_launch *launch) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/deck.yaml", launch->folder);
  unlink(path);
}

/* True if the newest checkpoint holds the global model: a method may train units behind its last tuning, and
 * the run goes on from that model all the same. */
static ef_status model_kept(ef_run *run, bool *kept) {
  char path[PATH_BYTES], *phase = NULL;
  EF_TRY(ef_checkpoint_newest(run, path, sizeof path));
  *kept = false;
  if (!path[0]) return EF_OK;
  ef_h5 *file = NULL;
  ef_status status = ef_h5_open(path, "run", &file);
  if (status == EF_OK) status = ef_h5_get_text(file, "/", "phase", &phase);
  if (status == EF_OK) *kept = strcmp(phase, "units") != 0;
  ef_h5_close(file);
  ef_free(phase);
  return ef_agree(run->par, status);
}

/* After a stop while units were trained: a checkpoint that says how far the run is; the units' states are
 * parts. */
static ef_status note_stop(ef_run *run) {
  char path[PATH_BYTES];
  size_t steps;
  EF_TRY(ef_checkpoint_steps(run, &steps));
  ef_run_path(run, path, sizeof path, "checkpoint/step_%08zu.h5", steps);
  bool there = ef_file_exists(path);
  EF_TRY(ef_bcast(run->par, 0, &there, sizeof there));
  if (!there) EF_TRY(model_kept(run, &there));
  if (there) return EF_OK;
  double started = ef_clock();
  ef_h5 *file = NULL;
  EF_TRY(ef_checkpoint_create(run, "units", steps, &file));
  return ef_checkpoint_commit(run, file, started);
}

/* Where devices trained they also bid; where none did they are dealt in blocks. */
static ef_status clear_market(ef_run *run, ef_outcome *o) {
  size_t devices = o->population.devices;
  int *owner = NULL;
  EF_TRY(ef_agree(run->par, EF_NEW(owner, devices)));
  for (size_t n = 0; n < devices; n++)
    owner[n] = o->devices.count > 0 ? o->devices.owner[n] : ef_block_owner(devices, run->par->size, n);
  ef_status status = ef_clearing_make(run, devices, owner, &o->market);
  ef_free(owner);
  return status;
}

/* What the report itself takes is not the run's. */
static ef_status measure_memory(ef_run *run, ef_outcome *o) {
  double *peak = NULL, mine = (double)ef_peak_rss();
  EF_TRY(ef_agree(run->par, EF_NEW(peak, (size_t)run->par->size)));
  ef_status status = ef_allgather_f64(run->par, &mine, 1, peak);
  for (int r = 0; status == EF_OK && r < run->par->size; r++) {
    if (peak[r] <= o->peak_bytes) continue;
    o->peak_bytes = peak[r];
    o->peak_rank = r;
  }
  ef_free(peak);
  return status;
}

static ef_status run_method(ef_run *run, const ef_launch *launch) {
  ef_outcome outcome = {0};
  ef_status status = launch->method->run(run, &outcome);
  if (status == EF_OK) status = clear_market(run, &outcome);
  if (status == EF_OK) status = measure_memory(run, &outcome);
  if (status == EF_OK) {
    bool root = ef_par_root(run->par);
    status = ef_agree(run->par, root ? ef_report_write(run, launch->method, &outcome) : EF_OK);
  }
  ef_outcome_free(&outcome);
  return status;
}

/* A stop keeps its own message whatever is done after it. The event tells a batch script why the run stopped
 * and whether this start was worth its time. */
static ef_status finish_stop(ef_run *run) {
  char message[1024];
  snprintf(message, sizeof message, "%s", ef_message());
  EF_TRY(note_stop(run));
  EF_TRY(ef_agree(run->par, ef_event(run, "stop", "\"reason\": \"%s\", \"gained\": %.0f",
                                     ef_stop_reason(&run->stop), run->gained)));
  return ef_fail(EF_STOPPED, __FILE__, __LINE__, "%s", message);
}

/* Numbers that went wrong: the message gets what was still good. */
static ef_status finish_numbers(ef_run *run) {
  char message[1024], good[PATH_BYTES];
  snprintf(message, sizeof message, "%s", ef_message());
  EF_TRY(ef_checkpoint_newest(run, good, sizeof good));
  if (good[0]) {
    return ef_fail(EF_NUMBERS, __FILE__, __LINE__, "%s; the last good checkpoint is %s", message, good);
  }
  return ef_fail(EF_NUMBERS, __FILE__, __LINE__,
                 "%s; no checkpoint was made yet, what is good is in %s/parts", message, run->folder);
}

/* Cuts the text and opens the run. The clock starts before, and a signal that comes meanwhile is not lost. */
static ef_status open_run(ef_par *par, const ef_launch *launch, ef_run *run) {
  ef_stop early;
  EF_TRY(ef_agree(par, ef_stop_setup(&early, NULL, launch->deck->run.time_limit)));
  EF_TRY(ef_agree(par, ef_par_root(par) ? ef_clearing_check(launch->deck) : EF_OK));
  EF_TRY(ef_launch_prepare(par, launch->deck, launch->folder));
  ef_stop_poll(&early);
  EF_TRY(ef_run_open(par, launch->deck, launch->folder, run));
  run->method = launch->method->name;
  run->sections = launch->method->sections;
  run->stop.started = early.started;
  run->stop.polled = early.polled;
  run->stop.wish = launch->wish;
  return EF_OK;
}

ef_status ef_launch_run(ef_par *par, const ef_launch *launch) {
  ef_run run = {0};
  char newest[PATH_BYTES];
  EF_TRY(ef_agree(par, ef_par_root(par) ? open_folder(launch) : EF_OK));
  EF_TRY(open_run(par, launch, &run));
  ef_status status = ef_checkpoint_newest(&run, newest, sizeof newest);
  if (status == EF_OK) status = ef_agree(par, ef_par_root(par) ? keep_deck(launch) : EF_OK);
  if (status == EF_OK) status = ef_plan_note(&run, launch->method, !launch->resume);
  if (status == EF_OK) status = run_method(&run, launch);
  if (status == EF_STOPPED) status = finish_stop(&run);
  if (status == EF_NUMBERS) status = finish_numbers(&run);
  if (status == EF_DECK && !launch->resume && ef_par_root(par)) forget_deck(launch);
  if (status == EF_OK || status == EF_STOPPED)
    ef_progress_note(&run, status == EF_OK ? "finished" : "stopped: run again with --resume");
  ef_run_close(&run);
  return status;
}
