#!/bin/bash
# scripts/reproduce.sh: what it refuses, an interruption, what it skips and shares, and the tables at its end.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/../faults/lib.sh"
export EDGEFUSE_RANKS=2
if ! /usr/bin/python3 -c 'import h5py, matplotlib' 2>/dev/null; then
  skip 'python3-h5py or python3-matplotlib is not installed'
  finish
fi

decks=$work/decks out=$work/runs
mkdir "$decks"
export EDGEFUSE_DATA=$work/data
mkdir "$EDGEFUSE_DATA"
cp "$source_tree"/inputs/corpus/*.jsonl "$EDGEFUSE_DATA"
head -n 6 "$EDGEFUSE_DATA/gardening.jsonl" >"$EDGEFUSE_DATA/garden.valid.jsonl"
for answer in 0 1 0; do
  echo "{\"question\": \"What does a plant want?\", \"choices\": [\"water\", \"a boat\"], \"answer\": $answer}"
done >"$EDGEFUSE_DATA/garden.mcq.valid.jsonl"

# Every token of the validation text is scored, and local training takes long enough to be interrupted.
sed -i -e '/^  folder:/d; /^  windows:/d; s/^  vocabulary:/  validation_files: [garden.valid.jsonl]\n&/' \
  -e 's/^  devices: 4/&\n  patience: 100000/' "$deck"
cp "$deck" "$decks/case1_tiny.yaml"

reproduce() { run "$source_tree/scripts/reproduce.sh" --full --decks "$decks" --out "$out" --devices 4 --seeds 1 "$@"; }
pair=(--methods 'deepfusion,deepfusion-paper' --set federation.steps=300)
first=$out/case1/N4/seed1/deepfusion second=$out/case1/N4/seed1/deepfusion-paper

# refuses CODE PATTERN: one line on standard error, and nothing was made.
refuses() {
  local got=''
  if [ "$code" -ne "$1" ] || [ "$(wc -l <"$work/err")" -ne 1 ] || ! grep -Eq -- "^reproduce: .*$2" "$work/err"; then
    got="code $code: $(cat "$work/err")"
  fi
  verdict "code $1, one line 'reproduce: ...$2...'" "$got"
  absent "$out"
}

# says CODE PATTERN...: the last command ended with CODE, and each pattern is a line of its output.
says() {
  local pattern got=''
  [ "$code" -eq "$1" ] || got="code $code"
  shift
  for pattern in "$@"; do
    grep -Eq -- "$pattern" "$work/out" || got="$got, no line '$pattern'"
  done
  [ -z "$got" ] || got="$got in: $(cat "$work/out" "$work/err")"
  verdict 'code and output' "$got"
}

# holds WHAT PATTERN: a line of the page of results.
holds() { verdict "$1" "$(grep -Eq -- "$2" "$out/RESULTS.md" || cat "$out/RESULTS.md")"; }

# ---- the command line ----------------------------------------------------------------------------------------

reproduce --methods nosuch
refuses 2 'nosuch: no such method'
reproduce --cases case7
refuses 2 'case7: no such case'
reproduce --seeds one
refuses 2 'one: not a whole number'
reproduce --nosuch
refuses 2 'unknown option'
reproduce --set
refuses 2 'wants a value'
EDGEFUSE_DATA=$work/nowhere reproduce
refuses 4 'gardening.jsonl, not found.*EDGEFUSE_DATA'
reproduce "${pair[@]}" --seeds 1,2 --dry-run
says 0 '^1/4 case1 N=4 seed=1 deepfusion \(new\): mpirun -n 2 .* --method deepfusion .*--set run.seed=1$' \
  '^4/4 case1 N=4 seed=2 deepfusion-paper \(new\): .*--set fusion.recipe=paper'
absent "$out"

# ---- interrupted, gone on with -----------------------------------------------------------------------------------

last='scripts/reproduce.sh, interrupted'
setsid "$source_tree/scripts/reproduce.sh" --full --decks "$decks" --out "$out" --devices 4 --seeds 1 "${pair[@]}" \
  >"$work/out" 2>"$work/err" &
background=$!
wait_for "$first/metrics.jsonl" 0 '"phase", "name": "family starts"'
kill -TERM "$background"
collect
says 75 '^1/2 case1 N=4 seed=1 deepfusion stopped after'
verdict 'one line about it' "$(grep -q '^reproduce: the run saves' "$work/err" || cat "$work/err")"
absent "$first/report.json" "$first/stop" "$second" "$out/RESULTS.md"
verified "$(newest "$first")"
reproduce "${pair[@]}" --dry-run
says 0 'deepfusion \(interrupted\): .* --resume$' 'deepfusion-paper \(new\)'

reproduce "${pair[@]}"
says 0 '^1/2 case1 N=4 seed=1 deepfusion [0-9.]+ nat/token, [0-9]+ s$' \
  '^2/2 case1 N=4 seed=1 deepfusion-paper [0-9.]+ nat/token, [0-9]+ s$' 'RESULTS.md$'
present "$first/report.json" "$second/report.json" "$first/task_mcq.json" "$out/case1_devices.png" "$out/case1_cost.png"
absent "$out/case1_gap.png" "$first/stop"
starts=$(grep -c '"phase", "name": "local training"' "$first/metrics.jsonl")
verdict 'two starts of local training' "$([ "$starts" -eq 2 ] || echo "$starts")"

# The bits are those of a run of the program alone.
edgefuse train "$decks/case1_tiny.yaml" --out "$work/alone" -q --set control.public_only=false \
  --set federation.steps=300
ends 0
same "$work/alone" "$first"

# The second run took text and devices from the first.
for file in tokens/tokens.h5 parts/family_00000.h5 parts/device_00003.h5; do
  verdict "$file is shared" "$([ "$first/$file" -ef "$second/$file" ] || echo 'another file')"
done

holds 'a method without runs' '^\| fedjets \| not run \|$'
holds 'an interval over documents' '^\| deepfusion \(paper\) \| [0-9.]+ \([-+][0-9.]+: [-+][0-9.]+ to [-+][0-9.]+\) \|$'
holds 'scores of the task' '^\| deepfusion \(paper\) \| 3 \| '

# ---- finished, other settings, a failure ---------------------------------------------------------------------

# What is kept of the runs counts as finished, and gives the same tables.
run "$source_tree/scripts/tables" "$out" --keep "$work/kept"
says 0 '^2 runs kept in'
reproduce "${pair[@]}" --out "$work/kept"
says 0 '^1/2 .* nat/token, finished before$' '^2/2 .* nat/token, finished before$'
verdict 'the same tables' "$(diff <(grep '^| deep' "$out/RESULTS.md") <(grep '^| deep' "$work/kept/RESULTS.md"))"

sums() { find "$out" -name report.json -o -name 'task_*.json' -o -name 'step_*.h5' | sort | xargs sha256sum; }
sums >"$work/before"
reproduce "${pair[@]}"
says 0 '^1/2 .* nat/token, finished before$' '^2/2 .* nat/token, finished before$'
printf 'rivals:\n  kl: 0.5\n' >>"$decks/case1_tiny.yaml" # of another method
reproduce "${pair[@]}" --dry-run
says 0 'deepfusion \(finished\)' 'deepfusion-paper \(finished\)'
reproduce "${pair[@]}" --set tune.steps=11
says 1 '^1/2 case1 N=4 seed=1 deepfusion failed: .* other settings' '^2/2 .* failed: '
reproduce --methods deepfusion --set federation.steps=300 --devices 1,4 --tasks-devices 4
says 1 '^1/2 case1 N=1 seed=1 deepfusion failed with code 3: edgefuse: .*fusion.clusters' '^2/2 .* finished before$'
sums >"$work/after"
verdict 'results are as they were' "$(diff "$work/before" "$work/after")"
holds 'the failure' 'case1 N=1 seed=1 deepfusion'

# ---- what other numbers of devices have in common ------------------------------------------------------------

# Training without devices is done once, unless its steps follow those of the devices; common starts and the server's
# training are taken over. The bits are those of a run alone.
apart=$work/apart/case1
alone=(train "$decks/case1_tiny.yaml" -q --set federation.devices=4)
no_control=(--set control.public_only=false)
reproduce --devices '3,4' --methods 'deepfusion,fedavg,public_only,central' --out "$work/apart"
says 0 '^3/8 case1 N=3 seed=1 public_only [0-9.]+ nat/token, [0-9]+ s$' '^4/8 .* central .*, [0-9]+ s$' \
  '^7/8 case1 N=4 seed=1 public_only [0-9.]+ nat/token, as with N=3$' '^8/8 .* central .*, [0-9]+ s$'
for file in deepfusion/parts/family_00000 deepfusion/parts/base_start_00000 fedavg/parts/server_00000; do
  shared=$([ "$apart/N3/seed1/$file.h5" -ef "$apart/N4/seed1/$file.h5" ] || echo 'another file')
  verdict "$file is shared" "$shared"
done
device=deepfusion/parts/device_00000.h5
shared=$([ ! "$apart/N3/seed1/$device" -ef "$apart/N4/seed1/$device" ] || echo 'the same file')
verdict 'devices are not' "$shared"
for method in deepfusion fedavg; do
  edgefuse "${alone[@]}" "${no_control[@]}" --out "$work/$method" --method $method
  ends 0
  same "$work/$method" "$apart/N4/seed1/$method"
done
edgefuse "${alone[@]}" --out "$work/public_only" --method public_only
ends 0
same "$work/public_only" "$apart/N4/seed1/public_only"

reproduce --devices '3,4' --methods central --set rivals.central_steps=7 --out "$work/steps"
says 0 '^1/2 .* [0-9]+ s$' '^2/2 case1 N=4 seed=1 central [0-9.]+ nat/token, as with N=3$'
edgefuse "${alone[@]}" "${no_control[@]}" --out "$work/central" --method central --set rivals.central_steps=7
ends 0
same "$work/central" "$work/steps/case1/N4/seed1/central"
finish
