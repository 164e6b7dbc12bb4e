#!/bin/bash
# What the system or a person does to a running job: node down, scontrol requeue, scancel. The run goes on with the
# same bits.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 2

local_steps 100
edgefuse train "$deck" --out "$work/reference" -q
ends 0
slow 5
export EDGEFUSE_PROGRAM=$work/slow

# All three at once, on one core each; the node that goes down stays away.
submit -w n2 -n 1 -t 5 jobs/train.sbatch "$deck" "$work/requeued"
requeued=$job
submit -w n2 -n 1 -t 5 jobs/train.sbatch "$deck" "$work/cancelled"
cancelled=$job
submit -n 1 -t 5 jobs/train.sbatch "$deck" "$work/down"
down=$job
at_work "$work/requeued"
scontrol requeue "$requeued"
at_work "$work/cancelled"
scancel "$cancelled"
at_work "$work/down"
last="node of job $down"
verdict n1 "$([ "$(field "$down" NodeList)" = n1 ] || field "$down" NodeList)"
scontrol update nodename=n1 state=down reason=test

over "$cancelled" CANCELLED 75
logged "$cancelled" 'told to end: saved'
verified "$(newest "$work/cancelled")"
absent "$work/cancelled/report.json"

export EDGEFUSE_PROGRAM=$program
submit -n 2 -t 5 jobs/train.sbatch "$deck" "$work/cancelled"
again=$job
for job in "$requeued" "$down" "$again"; do over "$job" COMPLETED 0; done
for run in requeued cancelled down; do same "$work/reference" "$work/$run"; done
verdict 'each was requeued once' "$([ "$(restarts "$requeued") $(restarts "$down")" = '1 1' ] ||
  echo "$(restarts "$requeued") $(restarts "$down")")"
logged "$requeued" 'start 1 of job'
logged "$down" 'start 1 of job'
finish
