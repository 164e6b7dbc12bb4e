/* The start of MPI, watched: ranks that do not find each other hang there, before anything can be checked.
 */
#pragma once

#include "doctor/watch.h"
#include <stdbool.h>

/* From now on until ef_watch_free: after 20 s one of the processes that were started together says what is
 * wrong, and all end with the code of EF_MACHINE. NULL where no thread can be had. Local. */
ef_watch *ef_start_watch(bool json);
