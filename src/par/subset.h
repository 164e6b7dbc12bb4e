/* The first ranks as a world of their own, while the others wait: the same work on another number of ranks,
 * inside one launch.
 */
#pragma once

#include "par/par.h"

/* `part` is a world of ranks 0 .. ranks-1 with the chunk of `par`; on the others its world is MPI_COMM_NULL
 * and nothing may be called with it. Ended by ef_par_finish on all ranks. EF_MACHINE. Collective. */
ef_status ef_par_subset(ef_par *par, int ranks, ef_par *part);

/* All ranks meet after such work, the waiting ones asleep: the status and message of the lowest rank that
 * failed, on all. A rank that failed while others of its part hang returns its own after some seconds.
 * Collective. */
ef_status ef_par_rejoin(ef_par *par, ef_status status);

/* How ranks meet where some may never come: true when all did, `first` is then the lowest that failed, or
 * `size`. A rank whose `status` is a failure gives up after some seconds and returns false, as everyone does
 * when MPI fails. No other collective of `comm` may be under way. Collective. */
bool ef_par_meet(MPI_Comm comm, int rank, int size, ef_status status, int *first);
