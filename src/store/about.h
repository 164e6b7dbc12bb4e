/* The HDF5 library that the program was built against and the one that it runs with.
 */
#pragma once

#include "base/status.h"

typedef struct ef_h5_about {
  unsigned built[3], linked[3]; /* major, minor, release */
  bool parallel;                /* built with MPI */
} ef_h5_about;

/* EF_MACHINE. Local. */
ef_status ef_h5_about_get(ef_h5_about *about);
