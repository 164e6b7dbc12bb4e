#!/bin/bash
# What must not go back into the queue: a crash, a fault of the program, a mistake of the user, a job that never
# gains a step, a run that its user stopped. Each ends with its own code, in the first start.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 1

# once JOB CODE: the job failed with this code and was not requeued.
once() {
  over "$1" FAILED "$2"
  verdict 'no requeue' "$([ "$(restarts "$1")" = 0 ] || restarts "$1")"
}

# A rank that is killed while the others train. Slurm ends the step.
cat >"$work/crash" <<CRASH
#!/bin/bash
"$program" "\$@" &
child=\$!
if [ "\$SLURM_PROCID" = 1 ]; then
  while ! compgen -G "\$4/parts/family_*1.h5" >/dev/null; do sleep 0.05; done
  kill -KILL "\$child"
fi
wait "\$child"
CRASH
printf '#!/bin/sh\nexit 70\n' >"$work/fault"
chmod +x "$work/crash" "$work/fault"
local_steps 300

EDGEFUSE_PROGRAM=$work/crash submit -n 2 -t 5 jobs/train.sbatch "$deck" "$work/crashed"
crashed=$job
EDGEFUSE_PROGRAM=$work/fault submit -n 2 -t 5 jobs/train.sbatch "$deck" "$work/faulty"
faulty=$job
submit -n 1 -t 5 jobs/train.sbatch "$work/none.yaml" "$work/no_deck"
no_deck=$job
submit -n 1 -t 5 jobs/train.sbatch "$deck"
no_folder=$job
# No time for a step: stopped with code 75, but again and again would be for ever.
submit -n 1 -t 5 jobs/train.sbatch "$deck" "$work/hasty" --set run.time_limit=0.001
hasty=$job

once "$faulty" 70
once "$no_deck" 3
once "$no_folder" 2
once "$hasty" 75
logged "$hasty" 'no step was gained'

# The file stop is a wish to end, not to go on.
slow 10
EDGEFUSE_PROGRAM=$work/slow submit -n 1 -t 5 jobs/train.sbatch "$deck" "$work/stopped"
at_work "$work/stopped"
: >"$work/stopped/stop"
once "$job" 75
logged "$job" 'stopped by the file'

# One that gained in its first start but not in the second.
cat >"$work/stuck" <<STUCK
#!/bin/bash
[ "\${SLURM_RESTART_COUNT:-0}" = 0 ] || set -- "\$@" --set run.time_limit=0.001
exec "$work/slow" "\$@"
STUCK
chmod +x "$work/stuck"
EDGEFUSE_PROGRAM=$work/stuck submit -n 1 -t 5 jobs/train.sbatch "$deck" "$work/once"
at_work "$work/once"
end_slot "$job"
over "$job" FAILED 75
verdict 'one requeue' "$([ "$(restarts "$job")" = 1 ] || restarts "$job")"
logged "$job" 'no step was gained'

once "$crashed" 137
edgefuse train "$deck" --out "$work/crashed" -q --resume
ends 0
finish
