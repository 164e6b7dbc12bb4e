#!/bin/bash
# Two nodes, by srun and by mpirun: the same bits as on one rank, through the end of a slot; and scancel saves.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 2

local_steps 100
edgefuse train "$deck" --out "$work/reference" -q
ends 0
slow 5
export EDGEFUSE_PROGRAM=$work/slow
started=()
for launcher in srun mpirun; do
  EDGEFUSE_LAUNCHER=$launcher submit -N 2 -n 2 -t 5 jobs/train.sbatch "$deck" "$work/$launcher"
  started+=("$job")
done
for launcher in srun mpirun; do at_work "$work/$launcher"; done
for job in "${started[@]}"; do end_slot "$job"; done
EDGEFUSE_LAUNCHER=mpirun submit -N 2 -n 2 -t 5 jobs/train.sbatch "$deck" "$work/cancelled"
at_work "$work/cancelled"
scancel "$job"
over "$job" CANCELLED 75
verified "$(newest "$work/cancelled")"

for job in "${started[@]}"; do
  over "$job" COMPLETED 0
  verdict 'one requeue' "$([ "$(restarts "$job")" = 1 ] || restarts "$job")"
done
for launcher in srun mpirun; do same "$work/reference" "$work/$launcher"; done
EDGEFUSE_LAUNCHER=rsh submit -n 1 jobs/train.sbatch "$deck" "$work/none"
over "$job" FAILED 2
finish
