/* Traces that drive a simulation: how many users arrive, what electricity costs, how fast uplinks and devices
 * are. Read from CSV, or generated to the statistics that the paper describes; a generated trace says so.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef struct ef_trace {
  size_t count;
  double *value;  /* owned */
  bool synthetic; /* generated, not measured */
} ef_trace;
void ef_trace_free(ef_trace *trace);

/* One column of a CSV file: `column` by name (first line) or, if empty, the last. Quoted fields, CRLF, blank
 * lines and lines that begin with # are understood. Values must be finite and within [least, greatest].
 * EF_INPUT with file, line and what to do. Local. */
ef_status ef_trace_read(const char *path, const char *column, double least, double greatest, ef_trace *trace);

/* Arrivals per slot: integers least..most around a daily curve (slot_s seconds a slot). Local. */
ef_status ef_trace_arrivals(size_t slots, double slot_s, int64_t least, int64_t most, uint64_t seed,
                            ef_trace *trace);

/* Electricity price per slot, mean 1: daily curve, autocorrelated noise, rare spikes, never below 0. Local.
 */
ef_status ef_trace_prices(size_t slots, double slot_s, double volatility, uint64_t seed, ef_trace *trace);

/* `count` log-uniform numbers in [least, greatest], for uplinks (bit/s) and speeds (FLOP/s). Local. */
ef_status ef_trace_log_uniform(size_t count, double least, double greatest, uint64_t seed, uint64_t unit,
                               ef_trace *trace);
