/* The libraries that the program runs with, and a file that all ranks write together, as checkpoints are.
 */
#pragma once

#include "doctor/diagnosis.h"
#include "doctor/probe.h"
#include "par/about.h"
#include "store/about.h"

/* Adds the finding "MPI". Local. */
void ef_check_mpi(const ef_par_about *about, ef_diagnosis *d);

/* Adds the finding "HDF5"; false if the library must not be called. Local. */
bool ef_check_hdf5(const ef_h5_about *about, ef_diagnosis *d);

/* Writes the probe collectively, reads it back on every rank, and removes it. Adds the finding "parallel
 * HDF5" on the root. A rank that does not come back hangs the call: it is to be watched. EF_MACHINE when MPI
 * fails. Collective. */
ef_status ef_check_parallel_hdf5(ef_par *par, const ef_probe *probe, ef_diagnosis *d);
