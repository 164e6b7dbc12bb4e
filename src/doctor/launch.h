/* How the ranks were started, against what Slurm or a process manager says it started.
 *
 * srun without a PMI that the MPI library speaks makes every process a world of its own: the ranks would all
 * do the whole work and write the same files.
 */
#pragma once

#include "doctor/diagnosis.h"

/* As the environment tells; -1 where it does not. */
typedef struct ef_launch_facts {
  int ranks;            /* of MPI */
  int tasks;            /* SLURM_NTASKS: of the allocation, inside a step of the step */
  int step_tasks;       /* SLURM_STEP_NUM_TASKS */
  int procid;           /* rank that the launcher gave: OMPI_COMM_WORLD_RANK, SLURM_PROCID, PMI(X)_RANK */
  int managed;          /* PMI_SIZE: processes of a process manager */
  bool by_mpirun;       /* mpirun of Open MPI started this process */
  const char *launcher; /* "mpirun", "srun", "a process manager", "no launcher"; a literal */
} ef_launch_facts;

/* `env` returns the value of a variable, or NULL. Local. */
ef_launch_facts ef_launch_facts_of(int ranks, const char *(*env)(const char *name));

/* True if this process is a world of its own among several that were started together. Pure. */
bool ef_launch_split(const ef_launch_facts *facts);

/* True for the one of those that speaks for all. Pure. */
bool ef_launch_speaks(const ef_launch_facts *facts);

/* Adds the finding "launch"; `nodes` hold the ranks, `host` is the first. Local. */
void ef_check_launch(const ef_launch_facts *facts, int nodes, const char *host, ef_diagnosis *d);

/* Value of a variable of this process, or NULL: the `env` of whoever asks about himself. Local. */
const char *ef_env(const char *name);

/* Whole number that a text holds, -1 for NULL and for anything else. Pure. */
int ef_env_int(const char *text);
