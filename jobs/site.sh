# shellcheck shell=bash
# shellcheck disable=SC2034 # what the scripts read that source this file
# What differs between clusters, in one place, and how every job starts the program. All batch scripts source it:
#   . "${EDGEFUSE_JOBS:-${SLURM_SUBMIT_DIR:-.}/jobs}/site.sh"
# Slurm runs a copy of a batch script, from its spool folder, so a script cannot look beside itself: submit from
# the top of the tree, or export EDGEFUSE_JOBS, the full name of this folder. Every setting can also come from the
# environment.

# ---- this site -----------------------------------------------------------------------------------------------------
MODULES=${EDGEFUSE_MODULES:-}                       # modules to load, as "gcc openmpi hdf5-parallel openblas"
LAUNCHER=${EDGEFUSE_LAUNCHER:-srun}                 # srun or mpirun
SRUN_OPTIONS=${EDGEFUSE_SRUN_OPTIONS:---mpi=pmix}   # srun --mpi=list shows what there is; Open MPI wants pmix
MPIRUN_OPTIONS=${EDGEFUSE_MPIRUN_OPTIONS:-}         # as "--bind-to core"
PROGRAM=${EDGEFUSE_PROGRAM:-}                       # default: build/release/edgefuse of this tree
TRAIN_OPTIONS=${EDGEFUSE_TRAIN_OPTIONS:-}           # sbatch options of a study's training, "-N 2 -n 32 -t 4:00:00"
LINK_OPTIONS=${EDGEFUSE_LINK_OPTIONS:-}             # sbatch options of all its jobs, "-A account -p batch"
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1     # one thread a rank
# --------------------------------------------------------------------------------------------------------------------

JOBS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAM=${PROGRAM:-$JOBS/../build/release/edgefuse}
for module in $MODULES; do module load "$module" || exit 6; done

say() { echo "$(date '+%F %T') $*"; }

# usage TEXT: a job that was submitted with the wrong arguments ends with code 2.
usage() {
  echo "usage: $*" >&2
  exit 2
}

# launch_on RANKS ARGUMENT...: the program on the first RANKS of the allocation, packed on as few nodes as hold them.
# The shell becomes the launcher: call it by `launch_on ... &`, whose $! is the launcher, or by run_on.
launch_on() {
  local ranks=$1 nodes=${SLURM_JOB_NUM_NODES:-1} all=${SLURM_NTASKS:-1} each
  shift
  each=$(((all + nodes - 1) / nodes))
  # shellcheck disable=SC2086 # options are several words
  case $LAUNCHER in
    # A rank that ends with a code, as all do after a stop (75), is no reason to kill those that are about to: where the
    # site says so the code would be lost. A rank that dies ends the step through PMIx; one that never came, by --wait.
    srun)
      exec srun $SRUN_OPTIONS --kill-on-bad-exit=0 --wait=60 -N "$(((ranks + each - 1) / each))" -n "$ranks" \
        "$PROGRAM" "$@"
      ;;
    # Slurm tells mpirun, its daemons on the other nodes, and the ranks alike to end; mpirun would kill the ranks before
    # they have saved, so it and its daemons are kept from hearing it. They end when the ranks do.
    mpirun)
      export OMPI_MCA_orte_launch_agent="${OMPI_MCA_orte_launch_agent:-env --block-signal=TERM orted}"
      exec env --block-signal=TERM mpirun $MPIRUN_OPTIONS -n "$ranks" "$PROGRAM" "$@"
      ;;
  esac
  echo "EDGEFUSE_LAUNCHER is srun or mpirun, not $LAUNCHER" >&2
  exit 2
}

# run ARGUMENT...: the program on all ranks of the allocation; run_on RANKS ARGUMENT...: on some.
run_on() { (launch_on "$@"); }
run() { run_on "${SLURM_NTASKS:-1}" "$@"; }
