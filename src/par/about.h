/* What MPI says of itself and of where the ranks are. For reports: nothing depends on it.
 */
#pragma once

#include "par/par.h"

enum { EF_HOST_BYTES = 64 };

typedef struct ef_par_about {
  bool started;             /* MPI runs in this process */
  char library[128];        /* "Open MPI v4.1.4" */
  int version, subversion;  /* of the standard */
  const char *threads;      /* thread level: "single", "funneled", "serialized", "multiple"; a literal */
  char host[EF_HOST_BYTES]; /* of this rank */
  int node;                 /* of this rank: the lowest rank of its node */
} ef_par_about;

/* EF_MACHINE. Local. */
ef_status ef_par_about_get(ef_par *par, ef_par_about *about);
