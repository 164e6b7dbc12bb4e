/* When a run must stop: SIGTERM, SIGUSR1, the file `stop`, or the time limit less the measured time of a
 * checkpoint. All ranks agree at the end of a step. Under a batch system the job's end is a limit too.
 */
#pragma once

#include "par/par.h"

/* A stop that is asked for in advance: in the middle of the first training whose name has not passed. */
typedef struct ef_stop_wish {
  const char *passed; /* names between commas: ",device,base,"; borrowed */
  char name[32];      /* of the training in which this rank reached the middle; "": in none yet */
  size_t step, steps; /* there */
  bool obeyed;        /* all ranks stopped, and for no other reason */
} ef_stop_wish;

#define EF_SLOT_MARGIN 5.0 /* s of a job's time that are left for ending and going back into the queue */

typedef struct ef_stop {
  char file[4096];       /* path of the stop file; "" for none */
  double started, limit; /* ef_clock at start; seconds allowed, 0: no limit */
  double reserve;        /* seconds kept for a checkpoint: the longest measured so far */
  int polled;            /* why this rank wants to stop; 0: it does not */
  int reason;            /* why all ranks stop; 0: they do not */
  ef_stop_wish *wish;    /* NULL: none; borrowed, on all ranks or on none */
} ef_stop;

/* Keeps a SIGUSR1 until ef_stop_setup takes it: one that comes while MPI starts must not end the process.
 * Called once, before MPI starts. A command that never sets up a stop cannot be resumed and takes no notice.
 * Local. */
void ef_stop_hold(void);
/* Catches the signals and remembers the start. One that came before and that no stop obeyed counts. The limit
 * is the lesser of `limit` and what SLURM_JOB_END_TIME (seconds since 1970) leaves, less EF_SLOT_MARGIN; an
 * end that is past, or is no number, is none. file NULL or "": none. EF_INPUT if the path is too long. Local.
 */
ef_status ef_stop_setup(ef_stop *stop, const char *file, double limit);
/* True if this rank was told to stop: signal, file or clock. Between meetings of the ranks. Local. */
bool ef_stop_poll(ef_stop *stop);
/* A training with this name has done `step` of `steps`: where a wish comes true. Local. */
void ef_stop_reached(ef_stop *stop, const char *name, size_t step, size_t steps);
/* True on every rank if any rank was told to stop; the root looks at file and clock. What is obeyed is
 * gone, signal or file, so that the resumed run goes on. Once true it stays true. Collective. */
ef_status ef_stop_now(ef_stop *stop, ef_par *par, bool *stop_now);
/* The reason, the same on all ranks ("SIGUSR1", "SIGTERM", "stop file", "time limit",
 * "request"); "" if none. Local. */
const char *ef_stop_reason(const ef_stop *stop);
