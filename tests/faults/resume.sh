#!/bin/bash
# Whatever ends a run, it goes on from there and ends with the bits of a run that nothing ended.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0.05/' "$deck"
reference=$work/reference
RANDOM=20 # the same moments in every run of this script

now() { date +%s%N; }
began=$(now)
edgefuse_on 2 train "$deck" --out "$reference" -q
ends 0
whole_ms=$((($(now) - began) / 1000000))
[ "$whole_ms" -le 3000 ] || whole_ms=3000 # a busy machine is no reason to wait longer

# as_reference FOLDER: the run is complete and has the reference's bits.
as_reference() {
  same "$reference" "$1"
  swept "$1"
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

# signal SIGNAL RANKS FOLDER PHASE: starts or resumes a run and sends the signal when this start ended the phase.
signal() {
  local log=$3/metrics.jsonl lines=0
  [ ! -e "$log" ] || lines=$(wc -l <"$log")
  start "$2" train "$deck" --out "$3" -q --resume
  wait_for "$log" "$lines" "\"$4\""
  if [ "$1" = file ]; then : >"$3/stop"; else kill "-$1" "$background"; fi
  collect
}

# SIGUSR1 to mpirun in the devices' training; goes on with 3 ranks, stops in the control, and ends on one rank.
signal USR1 2 "$work/usr1" 'family starts'
stopped "$work/usr1" SIGUSR1
signal USR1 3 "$work/usr1" distillation
stopped "$work/usr1" SIGUSR1
edgefuse train "$deck" --out "$work/usr1" -q --resume
ends 0
as_reference "$work/usr1"

# The stop file.
signal file 2 "$work/file" 'local training'
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

# SIGTERM, without mpirun, in the control and in the tuning.
signal TERM 0 "$work/term" distillation
stopped "$work/term" SIGTERM
signal TERM 0 "$work/term" merge
stopped "$work/term" SIGTERM
edgefuse train "$deck" --out "$work/term" -q --resume
ends 0
as_reference "$work/term"

# A signal while the text is cut is not lost.
start 0 train "$deck" --out "$work/early" -q
while running && [ ! -d "$work/early/tokens" ]; do sleep 0.005; done
kill -USR1 "$background"
collect
stopped "$work/early" SIGUSR1
edgefuse train "$deck" --out "$work/early" -q --resume
ends 0
as_reference "$work/early"
finish
