#include "doctor/launch.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

int ef_env_int(const char *text) {
  if (!text || !isdigit((unsigned char)text[0])) return -1;
  char *end;
  long number = strtol(text, &end, 10);
  return *end == '\0' && number <= INT_MAX ? (int)number : -1;
}

const char *ef_env(const char *name) { return getenv(name); }

/* Rank that the launcher gave this process; -1 where it tells none. Where srun did not start it itself,
 * SLURM_PROCID counts daemons of mpirun, or is 0 for all of a batch script. */
static int procid_of(const ef_launch_facts *f, const char *(*env)(const char *name)) {
  static const char *const by_mpirun[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID",
                                          NULL};
  static const char *const by_srun[] = {"SLURM_PROCID", "PMI_RANK", "PMIX_RANK", NULL};
  static const char *const by_others[] = {"PMI_RANK", "PMIX_RANK", "SLURM_PROCID", NULL};
  const char *const *names = f->by_mpirun ? by_mpirun : f->step_tasks >= 0 ? by_srun : by_others;
  int rank = -1;
  for (; rank < 0 && *names; names++) rank = ef_env_int(env(*names));
  return rank;
}

ef_launch_facts ef_launch_facts_of(int ranks, const char *(*env)(const char *name)) {
  ef_launch_facts facts = {.ranks = ranks,
                           .tasks = ef_env_int(env("SLURM_NTASKS")),
                           .step_tasks = ef_env_int(env("SLURM_STEP_NUM_TASKS")),
                           .managed = ef_env_int(env("PMI_SIZE")),
                           .by_mpirun = env("OMPI_MCA_orte_hnp_uri") || env("PRTE_LAUNCHED")};
  facts.procid = procid_of(&facts, env);
  if (facts.by_mpirun) {
    facts.launcher = "mpirun";
  } else if (facts.step_tasks > 0) {
    facts.launcher = "srun";
  } else {
    facts.launcher = facts.managed > 0 ? "a process manager" : "no launcher";
  }
  return facts;
}

/* Processes that were started together with this one, itself included. */
static int started(const ef_launch_facts *f) {
  if (f->by_mpirun) return f->ranks;
  if (f->step_tasks > 0) return f->step_tasks;
  return f->managed > 0 ? f->managed : f->ranks;
}

/* Ranks that Slurm has in mind. What a daemon of mpirun is told by Slurm counts daemons. */
static int tasks_of(const ef_launch_facts *f) {
  if (!f->by_mpirun) return started(f);
  return f->tasks > 0 && f->step_tasks < 0 ? f->tasks : f->ranks;
}

bool ef_launch_split(const ef_launch_facts *facts) { return facts->ranks == 1 && started(facts) > 1; }

bool ef_launch_speaks(const ef_launch_facts *facts) { return !ef_launch_split(facts) || facts->procid <= 0; }

void ef_check_launch(const ef_launch_facts *facts, int nodes, const char *host, ef_diagnosis *d) {
  static const char name[] = "launch";
  if (ef_launch_split(facts)) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "start with `srun --mpi=pmix` (srun --mpi=list shows what there is), or with mpirun of "
                     "the MPI that edgefuse was built with",
                     "%s started %d processes, and each is an MPI world of its own (1 rank)", facts->launcher,
                     started(facts));
    return;
  }
  int wanted = tasks_of(facts);
  if (wanted != facts->ranks) {
    ef_diagnosis_add(d, EF_HEALTH_WARN, name, "leave out -n to take what Slurm allotted",
                     "%d ranks by %s where Slurm has %d tasks", facts->ranks, facts->launcher, wanted);
    return;
  }
  ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%d rank%s by %s on %d node%s (%s%s)", facts->ranks,
                   facts->ranks == 1 ? "" : "s", facts->launcher, nodes, nodes == 1 ? "" : "s", host,
                   nodes == 1 ? "" : ", ...");
}
