#!/bin/bash
# verify-resume: equal bits on this machine, on other rank counts and launches; what differs is found; a stop cleans up.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# says PATTERN: standard output has it.
says() { verdict "'$1' on standard output" "$(grep -Eq -- "$1" "$work/out" || cat "$work/out")"; }

sed -i 's/^tune:/&\n  average: 0.9/' "$deck" # which a stop must keep too
edgefuse_on 3 verify-resume "$deck" --out "$work/three" --ranks-again 2 --keep
ends 0
says '^the same bits: 7 stops, .*on 3 ranks against one resumed on 2 and 3 in turn'
verdict 'three pairs of files' "$([ "$(grep -c '^equal ' "$work/out")" -eq 3 ] || cat "$work/out")"
# Each kind of training once, where half of its steps are done; the control takes those of bases and tuning together.
sed -n 's/^stopped *in //p' "$work/err" >"$work/stops"
cat >"$work/wanted" <<'STOPS'
family, step 5 of 10; ranks 3 -> 2
device, step 5 of 10; ranks 2 -> 3
base_start, step 5 of 10; ranks 3 -> 2
base, step 5 of 10; ranks 2 -> 3
public only, step 15 of 30; ranks 3 -> 2
answers, step 32 of 64; ranks 2 -> 3
tuning, step 5 of 10; ranks 3 -> 2
STOPS
verdict 'these stops' "$(diff "$work/wanted" "$work/stops")"
present "$work/three/whole/report.json" "$work/three/stopped/report.json"
verified "$(newest "$work/three/stopped")"

# Another launch, with fewer ranks.
edgefuse verify-resume "$deck" --out "$work/one" --against "$work/three"
ends 0
says '^the same bits: 7 stops'
verdict 'six pairs of files' "$([ "$(grep -c '^equal ' "$work/out")" -eq 6 ] || cat "$work/out")"
absent "$work/one"

# One bit of the earlier run is another: another seed stands for it.
edgefuse verify-resume "$deck" --out "$work/other" --against "$work/three" --set run.seed=2
ends 1 "the files differ; they are kept in $work/other"
says '^NOT the same bits'
present "$work/other/whole/report.json"

# Rounds between server and devices.
edgefuse_on 2 verify-resume "$deck" --out "$work/fedavg" --method fedavg
ends 0
says '^the same bits: '
absent "$work/fedavg"

# A signal while it waits for the runs.
start 2 verify-resume "$deck" --out "$work/signal"
wait_for "$work/err" 0 '^stopped   in device'
kill -USR1 "$background"
collect
ends 75 'told to stop'
absent "$work/signal"

# What the deck or the folder forbids is refused as train refuses it, and nothing is left.
refused 3 'federation.steps' verify-resume "$deck" --out "$work/wrong" --set federation.steps=-1
absent "$work/wrong"
finish
