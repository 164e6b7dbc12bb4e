/* The folder that runs are written to: may it be written, do all ranks see the same one, is there room?
 */
#pragma once

#include "doctor/diagnosis.h"
#include "doctor/probe.h"

/* Adds the finding "folder" on the root: a file can be made there and every rank sees it. *usable on all
 * ranks. EF_MACHINE when MPI fails. Collective. */
ef_status ef_check_folder(ef_par *par, const ef_probe *probe, ef_diagnosis *d, bool *usable);

/* Adds the finding "space": `need` bytes are free, can be reserved as far as EF_RESERVE_MOST, and some are
 * written for a trial (a quota shows only so). False: they are not. `why` says what needs them. Local. */
bool ef_check_space(const ef_probe *probe, uint64_t need, const char *why, ef_diagnosis *d);

enum { EF_RESERVE_MOST = 1 << 30, EF_TRIAL_BYTES = 4 << 20 };
