#!/bin/bash
# A run that needs several time limits of one minute, the least that Slurm has, ends by itself, with the bits of a run
# that nothing ended.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 1

local_steps 5000
began=$SECONDS
edgefuse train "$deck" --out "$work/reference" -q
ends 0

# Slurm looks at time limits every 30 s and sends the signal up to 30 s early: the slots take 10 to 40 s of the
# minute. Local training is made to take about 100 s.
slow $((100 * (SECONDS - began + 1) / 2 / 100))
export EDGEFUSE_PROGRAM=$work/slow
submit -n 2 -t 1 --signal=B:USR1@20 jobs/train.sbatch "$deck" "$work/run"
slots=$job
# Without a signal the program keeps to the end of its job by itself.
submit -n 1 -t 1 --signal=B:CONT@1 jobs/train.sbatch "$deck" "$work/clock"
clock=$job
clock_log=$work/edgefuse-$clock.log patience=200
while ! grep -qs 'back into the queue' "$clock_log" && [ $((patience -= 1)) -gt 0 ]; do sleep 0.5; done
scancel "$clock"
logged "$clock" 'saved, [0-9]+ steps gained; back into the queue'
last=$clock_log
verdict 'stopped by the time limit' "$(grep -q 'stopped by time limit' "$clock_log" || cat "$clock_log")"

job=$slots
over "$job" COMPLETED 0
same "$work/reference" "$work/run"
verdict 'at least two requeues' "$([ "$(restarts "$job")" -ge 2 ] || restarts "$job")"
stops=$(grep -c '"event": "stop"' "$work/run/metrics.jsonl")
verdict "a stop before each start but the first" "$([ "$stops" = "$(restarts "$job")" ] || echo "$stops stops")"
logged "$job" 'start 0 of job'
echo "starts: $(($(restarts "$job") + 1))"
finish
