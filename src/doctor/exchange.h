/* A short exchange between all ranks, every value of it checked.
 */
#pragma once

#include "doctor/diagnosis.h"
#include "par/par.h"

/* Every rank sends every other a block that only this pair has, and compares what came. Adds the finding
 * "exchange" on the root; EF_MACHINE when MPI fails. Collective. */
ef_status ef_check_exchange(ef_par *par, ef_diagnosis *d);
