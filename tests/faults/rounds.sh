#!/bin/bash
# Rounds of the global model (fedavg, fedjets): whatever ends them, they go on to the bits and bytes of a run that
# nothing ended; what cannot work is refused before anything is trained.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0.05/' "$deck"
settings=(--method fedjets --set market.clear=false --set control.public_only=false --set rivals.experts=3
  --set federation.wire=bfloat16 --set 'federation.fail=[2]' --set rivals.steps=12)
reference=$work/reference
RANDOM=7 # the same moments in every run of this script

# bytes FOLDER: up and down by the ledger.
bytes() { sed -n '/^  "communication"/,/^  }/s/^    "\(up\|down\)_bytes": \([0-9]*\),*$/\1 \2/p' "$1/report.json" | xargs; }

began=$(date +%s%N)
edgefuse train "$deck" --out "$reference" -q "${settings[@]}"
ends 0
whole_ms=$((($(date +%s%N) - began) / 1000000))
[ "$whole_ms" -le 3000 ] || whole_ms=3000 # a busy machine is no reason to wait longer

as_reference() { # FOLDER
  same "$reference" "$1"
  verdict "bytes: $(bytes "$reference")" "$([ "$(bytes "$reference")" = "$(bytes "$1")" ] || bytes "$1")"
  swept "$1"
  # shellcheck disable=SC2046
  absent $(find "$1/parts" -name 'local_*')
}
as_reference "$reference"

# ---- stopped -------------------------------------------------------------------------------------------------

# stop_after PHASE RANKS FOLDER: starts or resumes a run and stops it by its file when this start ended the phase.
stop_after() {
  local log=$3/metrics.jsonl lines=0
  [ ! -e "$log" ] || lines=$(wc -l <"$log")
  start "$2" train "$deck" --out "$3" -q --resume "${settings[@]}"
  wait_for "$log" "$lines" "\"$1\""
  : >"$3/stop"
  collect
  ends 75 'stopped by stop file.*--resume'
}
stop_after server 2 "$work/stopped"
stop_after 'round 1' 3 "$work/stopped"
edgefuse train "$deck" --out "$work/stopped" -q --resume "${settings[@]}"
ends 0
as_reference "$work/stopped"

# ---- killed --------------------------------------------------------------------------------------------------

for ((kills = 0; kills < 3; kills++)); do
  start 0 train "$deck" --out "$work/killed" -q --resume "${settings[@]}"
  moment=$((whole_ms / 4 + RANDOM % (whole_ms / 2)))
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  kill -KILL -- "-$background" 2>/dev/null
  collect
done
edgefuse train "$deck" --out "$work/killed" -q --resume "${settings[@]}"
ends 0
as_reference "$work/killed"

# ---- refused -------------------------------------------------------------------------------------------------

refused 3 'rivals.experts \(5\) must be at most global.experts \(4\)' \
  train "$deck" --out "$work/many" -q --method fedjets --set rivals.experts=5
refused 3 'rivals.experts \(1\) must be at least global.top_k \(2\)' \
  train "$deck" --out "$work/few" -q --method fedjets --set rivals.experts=1
absent "$work/many/deck.yaml" "$work/few/deck.yaml" "$work/many/parts/base_start_00000.h5"
finish
