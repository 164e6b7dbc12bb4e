# shellcheck shell=bash
# A training run that is longer than its job's time limit: train_in_slots runs one slot of it and decides what comes
# next. Sourced by the batch scripts of training, after site.sh. They carry
#   #SBATCH --requeue --open-mode=append --signal=B:USR1@60
# so that this shell gets SIGUSR1 a minute before the limit (Slurm may be half a minute early).

# This job, or this task of an array, whose SLURM_JOB_ID may be that of the whole array.
THIS_JOB=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
THIS_JOB=${THIS_JOB:-${SLURM_JOB_ID:-none}}

# The end of this job in the environment of the program, which then saves in time by itself, whatever signals come.
# New versions of Slurm set it.
export_end() {
  local end
  [ -z "${SLURM_JOB_END_TIME:-}" ] || return 0
  if end=$(squeue -h -j "$THIS_JOB" -o %e 2>/dev/null) && end=$(date -d "$end" +%s 2>/dev/null); then
    export SLURM_JOB_END_TIME=$end
  fi
}

# Names of what is finished: device models, proxies, bases.
finished_parts() { find "$1/parts" -name '*.h5' ! -name '*.partial.h5' -printf '%f\n' 2>/dev/null | sort; }

# stop_event OUT KEY: a value of the event by which the program told of its stop, the last line of its log.
stop_event() {
  tail -n 1 "$1/metrics.jsonl" 2>/dev/null | sed -n "s/.*\"event\": \"stop\".*\"$2\": \"\{0,1\}\([^\",}]*\).*/\1/p"
}

# The launcher gets the signal that makes all ranks save; in its first seconds it would not know whom to tell.
ask_ranks() {
  [ -n "$launcher" ] || return 0
  local wait=$((launched + 3 - SECONDS))
  [ "$wait" -le 0 ] || sleep "$wait"
  kill -USR1 "$launcher" 2>/dev/null
}

# await: the exit code of the launcher in $code. A signal that is trapped ends `wait` with a code of its own; `wait` then
# tells the launcher's, also of one that has ended meanwhile.
await() {
  local before
  while :; do
    before=$asked
    wait "$launcher"
    code=$?
    [ "$asked" != "$before" ] || return 0
  done
}

# True if Slurm ends this job for a reason of its own or of its user: a cancelled job is over, and one that the system
# requeues needs no help. A job whose time is over, and that was late to save, is neither.
others_decide() {
  [ -n "$told_to_end" ] && ! scontrol show job -o "$THIS_JOB" 2>/dev/null | grep -Eq 'JobState=TIMEOUT|Reason=TimeLimit'
}

# after OUT PARTS: what follows a slot that ended with code 75; PARTS were finished when it began. Ends the job.
after() {
  local reason gained
  reason=$(stop_event "$1" reason) gained=$(stop_event "$1" gained)
  if others_decide; then
    say "told to end: saved; Slurm requeues this job, or sbatch again to go on"
  elif [ "$reason" = 'stop file' ]; then
    say "stopped by the file $1/stop: saved; sbatch again to go on"
  elif [ "${gained:-0}" = 0 ] && [ "$(finished_parts "$1")" = "$2" ]; then
    say "no step was gained since this start: not requeued; sbatch again with more time"
  elif scontrol requeue "$THIS_JOB"; then
    say "saved, $gained steps gained; back into the queue"
  else
    say "saved, $gained steps gained, but the job could not be requeued; sbatch again to go on"
  fi
  exit 75
}

# train_in_slots DECK OUT [options of edgefuse train]: trains until the run is finished or the slot is over. Ends
# the job: with the program's exit code, or by a requeue when the run was stopped with a checkpoint (code 75) and
# this start was worth its time. Nothing else is requeued: a run that fails would only fail again.
train_in_slots() {
  local deck=$1 out=$2 resume=() parts launched=0
  shift 2
  launcher='' told_to_end='' asked=0
  trap 'asked=$((asked + 1)); ask_ranks' USR1
  trap 'asked=$((asked + 1)); told_to_end=1; ask_ranks' TERM
  export_end
  [ ! -e "$out/deck.yaml" ] || resume=(--resume)
  parts=$(finished_parts "$out")
  say "start ${SLURM_RESTART_COUNT:-0} of job $THIS_JOB on ${SLURM_NTASKS:-1} ranks: $out"
  launched=$SECONDS
  launch_on "${SLURM_NTASKS:-1}" train "$deck" --out "$out" "${resume[@]}" "$@" &
  launcher=$!
  [ "$asked" = 0 ] || ask_ranks # a signal that came before there was a launcher
  await
  say "edgefuse ended with code $code"
  [ "$code" -eq 75 ] || exit "$code"
  after "$out" "$parts"
}
