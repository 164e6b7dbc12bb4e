/* When a run must stop: SIGTERM, SIGUSR1, the file `stop`, or the time limit less the measured time of a
 * checkpoint. All ranks agree at the end of a step.
 */
#pragma once

#include "par/par.h"

typedef struct ef_stop {
  char file[4096];       /* path of the stop file; "" for none */
  double started, limit; /* ef_clock at start; seconds allowed, 0: no limit */
  double reserve;        /* seconds kept for a checkpoint: the longest measured so far */
  int polled;            /* why this rank wants to stop; 0: it does not */
  int reason;            /* why all ranks stop; 0: they do not */
} ef_stop;

/* Catches the signals, forgets those of before, and remembers the start. file NULL or "": none. EF_INPUT if
 * the path is too long. Local. */
ef_status ef_stop_setup(ef_stop *stop, const char *file, double limit);
/* True if this rank was told to stop: signal, file or clock. Between meetings of the ranks. Local. */
bool ef_stop_poll(ef_stop *stop);
/* True on every rank if any rank was told to stop; the root looks at file and clock, and removes the file
 * when it obeys it, so that the resumed run goes on. Once true it stays true. Collective. */
ef_status ef_stop_now(ef_stop *stop, ef_par *par, bool *stop_now);
/* The reason, the same on all ranks ("SIGUSR1", "SIGTERM", "stop file", "time limit"); "" if none. Local. */
const char *ef_stop_reason(const ef_stop *stop);
