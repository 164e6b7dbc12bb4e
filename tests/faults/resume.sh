#!/bin/bash
# Whatever ends a run, it goes on from there and ends with the bits of a run that nothing ended.
. "$(dirname "$0")/lib.sh"

sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0/' "$deck"
reference=$work/reference
RANDOM=20 # the same moments in every run of this script

now() { date +%s%N; }
began=$(now)
edgefuse_on 2 train "$deck" --out "$reference" -q
ends 0
whole_ms=$((($(now) - began) / 1000000))

# as_reference FOLDER: the run is complete and has the reference's bits.
as_reference() {
  same "$reference" "$1"
  present "$1/report.json" "$1/report.md" "$1/run.h5"
}

# ---- killed --------------------------------------------------------------------------------------------------

# What is new since the last look and bears a final name is whole.
look() { # FOLDER
  # shellcheck disable=SC2046
  verified $(find "$1" -name '*.h5' -newer "$work/looked" | sort)
  touch "$work/looked"
}

# Kills one rank (mpirun then ends the others) or all ranks and mpirun at once.
kill_run() {
  local ranks
  ranks=$(cat "/proc/$background/task/$background/children" 2>/dev/null)
  # shellcheck disable=SC2086
  set -- $ranks
  if [ $# -gt 0 ] && [ $((RANDOM % 2)) -eq 0 ]; then
    kill -KILL "$1" 2>/dev/null
  else
    kill -KILL "$@" "$background" 2>/dev/null
  fi
}

kills=0 finished=0 attempts=0
touch "$work/looked"
while [ "$kills" -lt 12 ] && [ $((attempts += 1)) -le 60 ]; do
  start 2 train "$deck" --out "$work/killed" -q --resume
  moment=$((whole_ms / 8 + RANDOM % (whole_ms * 5 / 8)))
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  running && kill_run
  collect
  if [ "$code" -eq 0 ]; then
    as_reference "$work/killed"
    finished=$((finished + 1))
    rm -rf "$work/killed"
  else
    kills=$((kills + 1))
    look "$work/killed"
  fi
done
edgefuse_on 2 train "$deck" --out "$work/killed" -q --resume
ends 0
as_reference "$work/killed"
echo "killed $kills times; complete in between: $finished"
verdict '12 kills' "$([ "$kills" -ge 12 ] || echo "$kills")"

# ---- stopped -------------------------------------------------------------------------------------------------

# stopped FOLDER REASON: it ended with 75 and left a checkpoint that verifies and no stop file.
stopped() {
  ends 75 "stopped by $2.*--resume"
  verified "$(newest "$1")"
  absent "$1/stop" "$1/report.json"
}

# phase_done FOLDER PHASE: waits for the end of a phase of the run in the background.
phase_done() { wait_for "$1/metrics.jsonl" "\"$2\""; }

# SIGUSR1 to mpirun in the devices' training; goes on with 3 ranks, stops in the tuning, and ends on one rank.
start 2 train "$deck" --out "$work/usr1" -q
phase_done "$work/usr1" 'family starts'
kill -USR1 "$background"
collect
stopped "$work/usr1" SIGUSR1
start 3 train "$deck" --out "$work/usr1" -q --resume
phase_done "$work/usr1" distillation
kill -USR1 "$background"
collect
stopped "$work/usr1" SIGUSR1
edgefuse train "$deck" --out "$work/usr1" -q --resume
ends 0
as_reference "$work/usr1"

# The stop file.
start 2 train "$deck" --out "$work/file" -q
phase_done "$work/file" 'local training'
: >"$work/file/stop"
collect
stopped "$work/file" 'stop file'
edgefuse_on 2 train "$deck" --out "$work/file" -q --resume
ends 0
as_reference "$work/file"

# The time limit.
edgefuse_on 2 train "$deck" --out "$work/limit" -q --set run.time_limit=0.2
stopped "$work/limit" 'time limit'
edgefuse_on 4 train "$deck" --out "$work/limit" -q --resume
ends 0
as_reference "$work/limit"

# SIGTERM, without mpirun, in the control and again in the tuning.
start 0 train "$deck" --out "$work/term" -q
phase_done "$work/term" distillation
kill -TERM "$background"
collect
stopped "$work/term" SIGTERM
start 0 train "$deck" --out "$work/term" -q --resume
phase_done "$work/term" '"merge'
kill -TERM "$background"
collect
[ "$code" -eq 0 ] || stopped "$work/term" SIGTERM
edgefuse train "$deck" --out "$work/term" -q --resume
ends 0
as_reference "$work/term"

# A signal before the text is ready is no loss: the same command starts again.
start 0 train "$deck" --out "$work/early" -q
sleep 0.05
kill -USR1 "$background"
collect
ends 75 'stopped by SIGUSR1'
edgefuse train "$deck" --out "$work/early" -q --resume
ends 0
as_reference "$work/early"
finish
