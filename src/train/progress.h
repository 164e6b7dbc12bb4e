/* How far a run has come: a line on standard error and the file `progress` of the run folder.
 *
 * On a terminal one line with a bar is rewritten in place and gives way to the line that ends the phase;
 * elsewhere a plain line comes every few seconds. The root shows its own units and steps: the ranks' work is
 * balanced, so its share stands for all. Nothing but these lines depends on the clock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ef_run ef_run;

enum { EF_PROGRESS_NAME = 48, EF_PROGRESS_LINE = 256 };

typedef struct ef_progress_state {
  char phase[EF_PROGRESS_NAME]; /* "": none is under way */
  size_t unit, units;   /* of the root: the one under way, from 1, and all; units 0: not a phase of units */
  size_t step, steps;   /* of the unit or phase under way; steps 0: it has none */
  size_t worked, ended; /* since the phase started here: steps, units */
  double done, weight;  /* shares of the root's work in the phase: the units behind, the one under way */
  double moved;         /* share gained since the phase started here, by steps or else by whole units */
  double loss;          /* of the last step, nat per token; NAN: there is none */
  double started, shown, written; /* ef_clock */
} ef_progress_state;

/* A phase of `units` units on this rank begins (0: of steps alone). Local; root only writes. */
void ef_progress_begin(ef_run *run, const char *phase, size_t units);

/* The next unit begins, `weight` of this rank's work in the phase (0 .. 1); it is over. Local. */
void ef_progress_unit(ef_run *run, double weight);
void ef_progress_unit_over(ef_run *run);

/* `step` of `steps` is done, its loss in nat per token or NAN. Outside a phase of units `name` is the phase.
 * Local. */
void ef_progress_step(ef_run *run, const char *name, size_t step, size_t steps, double loss);

/* The phase is over: its line on a terminal is erased, the file says so. Local. */
void ef_progress_end(ef_run *run, const char *phase, double seconds);

/* The file says `text`; one who reads it meanwhile sees the old line or the new one, whole. A lost write is
 * no error of the run. Local; root only writes. */
void ef_progress_note(const ef_run *run, const char *text);

/* Share of the phase that is done, 0 .. 1; seconds left at the speed since its start, NAN while there is
 * none. `now` and the state's clocks are ef_clock. Pure. */
double ef_progress_share(const ef_progress_state *state);
double ef_progress_left(const ef_progress_state *state, double now);

/* The line into `line` (EF_PROGRESS_LINE bytes); columns > 0: with a bar and no longer than that. Pure. */
void ef_progress_line(const ef_progress_state *state, double now, size_t columns, char *line);
