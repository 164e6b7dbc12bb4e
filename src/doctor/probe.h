/* The file that the checks of a folder write: named after the process, removed whatever happens.
 */
#pragma once

#include "par/par.h"

enum { EF_PROBE_BYTES = 4096 };

typedef struct ef_probe {
  char folder[EF_PROBE_BYTES - 64]; /* the folder, or where it would be made: its next parent that is there */
  char path[EF_PROBE_BYTES];        /* of the file; HDF5 writes it under "<path>.tmp" first */
  bool parent;                      /* `folder` is a parent */
} ef_probe;

/* The same on all ranks; no file is made. EF_MACHINE: the path is too long. Collective. */
ef_status ef_probe_place(ef_par *par, const char *folder, ef_probe *probe);

/* From now on SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT and SIGPIPE remove the probe and then end the process
 * as they would; NULL: as before. One probe at a time. Local. */
void ef_probe_guard(const ef_probe *probe);

/* Removes the file under both names. Local. */
void ef_probe_remove(const ef_probe *probe);
