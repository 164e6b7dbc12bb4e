/* The run log while the run is under way: metrics.jsonl (one JSON object a line, append only), and a line on
 * standard error for each phase that ends. Only the root writes; the others call and return.
 *
 * The log survives restarts: the report sums the phases' events of all starts.
 */
#pragma once

#include "train/units.h"

/* One line {"event": "phase", "name", "place" (ef_place_name), "seconds", "tokens", "flops", "steps"};
 * efforts are summed over ranks. Adds the steps to run->gained. Collective. */
ef_status ef_event_phase(ef_run *run, const char *name, ef_place place, double started,
                         const ef_effort *effort);

/* One line {"event": EVENT, FIELDS}; `fields` is the inside of a JSON object. Local; root only writes. */
ef_status ef_event(const ef_run *run, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));
