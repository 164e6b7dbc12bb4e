/* The run log while the run is under way: metrics.jsonl (one JSON object a line, append only), and a line on
 * standard error for each phase that ends. Only the root writes; the others call and return.
 *
 * The log survives restarts: the report sums the phases' events of all starts.
 */
#pragma once

#include "train/units.h"

/* Where a phase begins on this rank. */
typedef struct ef_lap {
  double started; /* ef_clock() */
  ef_traffic before;
} ef_lap;

ef_lap ef_lap_begin(const ef_run *run); /* Local. */

/* One line {"event": "phase", "name", "place" (ef_place_name), "seconds", "tokens", "flops", "steps",
 * "compute_seconds", "slowest_seconds", "exchange_seconds", "wait_seconds", "exchange_bytes"}: efforts and
 * bytes are summed over ranks, the seconds of computing (the rest of the phase: files too), exchange and wait
 * are means over ranks, the slowest is the rank that computed longest. Adds the steps to run->gained.
 * Collective. */
ef_status ef_event_phase(ef_run *run, const char *name, ef_place place, const ef_lap *lap,
                         const ef_effort *effort);

/* One line {"event": EVENT, FIELDS}; `fields` is the inside of a JSON object. Local; root only writes. */
ef_status ef_event(const ef_run *run, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));
