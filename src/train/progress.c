#include "train/progress.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/log.h"
#include "train/run.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, BAR = 20, COLUMNS = 80 };

static const double terminal_every = 0.25, log_every = 5.0, file_every = 1.0; /* seconds */

/* ---- the line ------------------------------------------------------------------------------------------ */

double ef_progress_share(const ef_progress_state *state) {
  double inside = state->steps > 0 ? (double)state->step / (double)state->steps : 0.0;
  return fmin(fmax(state->done + state->weight * inside, 0.0), 1.0);
}

double ef_progress_left(const ef_progress_state *state, double now) {
  if (state->moved <= 0.0) return NAN;
  return (now - state->started) * (1.0 - ef_progress_share(state)) / state->moved;
}

__attribute__((format(printf, 2, 3))) static void append(char *line, const char *fmt, ...) {
  size_t used = strlen(line);
  va_list args;
  va_start(args, fmt);
  vsnprintf(line + used, EF_PROGRESS_LINE - used, fmt, args);
  va_end(args);
}

static void append_bar(char *line, double share, int width) {
  char bar[BAR + 1] = "";
  for (int i = 0; i < width; i++) bar[i] = i < (int)(share * width) ? '#' : '.';
  append(line, " [%s] %d %%", bar, (int)(100.0 * share));
}

static void append_place(char *line, const ef_progress_state *state, const char *before) {
  if (state->units > 0) append(line, "%sunit %zu of %zu", before, state->unit, state->units);
  if (state->steps > 0)
    append(line, "%sstep %zu of %zu", state->units > 0 ? ", " : before, state->step, state->steps);
}

static void append_rate(char *line, const ef_progress_state *state, double now) {
  double seconds = now - state->started;
  size_t count = state->worked > 0 ? state->worked : state->ended;
  if (count == 0 || seconds <= 0.0) return;
  double rate = (double)count / seconds;
  append(line, rate < 100.0 ? ", %.3g %s/s" : ", %.0f %s/s", rate, state->worked > 0 ? "steps" : "units");
}

static void append_left(char *line, double seconds) {
  char text[EF_DURATION_BYTES];
  if (!isnan(seconds)) append(line, ", %s left", ef_duration(seconds, text));
}

static void append_speed(char *line, const ef_progress_state *state, double now) {
  append_rate(line, state, now);
  if (!isnan(state->loss)) append(line, ", loss %.4f", state->loss);
  append_left(line, ef_progress_left(state, now));
}

void ef_progress_line(const ef_progress_state *state, double now, size_t columns, char *line) {
  line[0] = '\0';
  append(line, "%s", state->phase);
  if (columns == 0) {
    append_place(line, state, ": ");
    append_speed(line, state, now);
    return;
  }
  append_bar(line, ef_progress_share(state), columns < COLUMNS + BAR ? BAR / 2 : BAR);
  append_speed(line, state, now);
  append_place(line, state, ", "); /* what a narrow terminal loses */
  if (columns < strlen(line)) line[columns] = '\0';
}

/* ---- where it is shown --------------------------------------------------------------------------------- */

void ef_progress_note(const ef_run *run, const char *text) {
  if (!ef_par_root(run->par)) return;
  char path[PATH_BYTES], fresh[PATH_BYTES];
  ef_run_path(run, path, sizeof path, "progress");
  ef_run_path(run, fresh, sizeof fresh, "progress.tmp");
  FILE *file = fopen(fresh, "w");
  if (!file) return;
  bool whole = fprintf(file, "%s\n", text) > 0;
  whole = fclose(file) == 0 && whole;
  if (!whole || rename(fresh, path) != 0) remove(fresh);
}

/* Columns that a line may take: one less than the terminal has, or it would wrap. */
static size_t columns_of_terminal(void) {
  struct winsize size = {0};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return COLUMNS - 1;
  return (size_t)size.ws_col - 1;
}

static void show(ef_run *run) {
  ef_progress_state *p = &run->progress;
  char line[EF_PROGRESS_LINE];
  double now = ef_clock();
  if (now - p->written >= file_every) {
    p->written = now;
    ef_progress_line(p, now, 0, line);
    ef_progress_note(run, line);
  }
  if (now - p->shown < terminal_every || !ef_log_on(EF_LOG_INFO)) return;
  bool terminal = isatty(STDERR_FILENO);
  if (!terminal && now - p->shown < log_every) return;
  p->shown = now;
  ef_progress_line(p, now, terminal ? columns_of_terminal() : 0, line);
  if (terminal) {
    ef_log_rewrite(line);
  } else {
    ef_log(EF_LOG_INFO, "%s", line);
  }
}

/* ---- what a run tells ---------------------------------------------------------------------------------- */

void ef_progress_begin(ef_run *run, const char *phase, size_t units) {
  double now = ef_clock();
  run->progress = (ef_progress_state){.units = units,
                                      .weight = units > 0 ? 0.0 : 1.0,
                                      .loss = NAN,
                                      .started = now,
                                      .shown = now,
                                      .written = now};
  snprintf(run->progress.phase, EF_PROGRESS_NAME, "%s", phase);
}

void ef_progress_unit(ef_run *run, double weight) {
  ef_progress_state *p = &run->progress;
  p->unit++;
  p->weight = weight;
  p->step = p->steps = 0;
}

void ef_progress_unit_over(ef_run *run) {
  ef_progress_state *p = &run->progress;
  p->done += p->weight;
  p->weight = 0.0;
  p->ended++;
  if (p->worked == 0) p->moved = p->done;
  if (ef_par_root(run->par)) show(run);
}

void ef_progress_step(ef_run *run, const char *name, size_t step, size_t steps, double loss) {
  if (!ef_par_root(run->par)) return;
  ef_progress_state *p = &run->progress;
  if (p->units == 0 && strcmp(p->phase, name) != 0) ef_progress_begin(run, name, 0);
  p->step = step;
  p->steps = steps;
  p->loss = loss;
  if (p->worked++ == 0) p->moved = 0.0;
  p->moved += p->weight / (double)steps;
  show(run);
}

void ef_progress_end(ef_run *run, const char *phase, double seconds) {
  char line[EF_PROGRESS_LINE];
  run->progress = (ef_progress_state){.loss = NAN};
  snprintf(line, sizeof line, "%s: over after %.1f s", phase, seconds);
  ef_progress_note(run, line);
}
