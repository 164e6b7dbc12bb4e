/* Traces that drive a simulation: how many users arrive, what electricity costs, how fast uplinks and devices
 * are. Read from CSV, or generated to the statistics that the paper describes; a generated trace says so.
 * Generated numbers are pure functions of their arguments: streams (seed, EF_RNG_TRACE, kind, entry).
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

/* Stream of each kind of generated trace. */
typedef enum ef_trace_kind {
  EF_TRACE_ARRIVALS,
  EF_TRACE_PRICE,
  EF_TRACE_UPLINK,
  EF_TRACE_DEVICE
} ef_trace_kind;

/* Arithmetic mean; 0 for an empty trace. Local. */
double ef_trace_mean(const ef_trace *trace);

/* One column of a CSV file: `column` by name (first line) or, if empty or NULL, the last; then the first line
 * is a header unless its last field is a number. Separator: comma. Quoted fields, CRLF, blank lines and lines
 * that begin with # are understood; every line must have as many fields as the first. Values are decimal
 * numbers within [least, greatest]. EF_INPUT with file, line, column and what is wrong. Local. */
ef_status ef_trace_read(const char *path, const char *column, double least, double greatest, ef_trace *trace);

/* Arrivals per slot (slot_s seconds each): integers in least..most. The mean swings over the day between 15
 * and 85 % of that range (fewest at 4 h, most at 16 h; slot 0 begins at 0 h), with noise of a Poisson
 * variable's variance. A longer trace continues a shorter one. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_trace_arrivals(size_t slots, double slot_s, int64_t least, int64_t most, uint64_t seed,
                            ef_trace *trace);

/* Electricity price per slot, mean 1 over the trace, above 0: a daily curve (+-20 %, least at 4 h) times a
 * log-normal first-order autoregression (standard deviation `volatility`, 0..2, correlation .8 after one
 * hour) times rare spikes (2 % of hours; 1 + an exponential variable of mean 8 volatility). EF_INPUT,
 * EF_MACHINE. Local. */
ef_status ef_trace_prices(size_t slots, double slot_s, double volatility, uint64_t seed, ef_trace *trace);

/* `count` log-uniform numbers in [least, greatest], for uplinks (bit/s) and speeds (FLOP/s); unit: one of
 * ef_trace_kind. A longer trace continues a shorter one. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_trace_log_uniform(size_t count, double least, double greatest, uint64_t seed, uint64_t unit,
                               ef_trace *trace);
