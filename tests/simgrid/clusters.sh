#!/usr/bin/env bash
# The step on simulated clusters of 1, 4 and 16 hosts: the loss of one rank bit for bit, the bytes of the formula, the same
# figures in every run. Every token goes to every expert, so that the bytes are exact.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../faults/lib.sh"

if ! command -v smpicc >/dev/null; then
  echo "[SKIP] simgrid/clusters: no smpicc here (Debian: libsimgrid-dev)"
  exit 77
fi

model=(--micro-batches 16 --experts 16 --top-k 16 --width 16 --expert-width 16 --vocabulary 64 --context 8 --steps 2)

# simulate NAME [options]: the lines of the clusters, in $work/NAME/simgrid.jsonl.
simulate() {
  local name=$1
  shift
  run "$source_tree/scripts/simgrid.sh" --out "$work/$name" --network ethernet "$@" -- "${model[@]}"
  [ "$code" = 0 ] || { verdict "exit code 0" "$code: $(tail -n 5 "$work/err")"; finish; }
}

# values KEY FOLDER: a figure of every cluster, one a line.
values() { sed -E "s/.*\"$1\": \"?([^,\"}]+).*/\1/" "$2/simgrid.jsonl"; }
# bytes PART FOLDER: those of one part of the line.
bytes() { sed -E "s/.*\"$1\": \{[^}]*\"bytes\": ([^,}]+).*/\1/" "$2/simgrid.jsonl"; }

simulate one --hosts 1,4,16
losses=$(values loss_bits "$work/one")
last="loss on 1, 4 and 16 hosts"
verdict "three equal hexadecimal numbers" "$(sort <<<"$losses" | uniq -c | grep -vE '^ *3 0x[01][.]')"

simulate two --hosts 4 --per-host 4
last="loss on 16 ranks of 4 hosts"
verdict "that of 16 hosts" "$(values loss_bits "$work/two" | diff <(tail -n 1 <<<"$losses") -)"

last="bytes handed to MPI"
for folder in one two; do
  verdict "those of the formula" "$(diff <(bytes model "$work/$folder") <(bytes mean "$work/$folder"))"
done
verdict "none on one host, some on 4 and 16" \
  "$(bytes mean "$work/one" | awk 'NR == 1 ? $1 != 0 : $1 < 10000')"

simulate again --hosts 1,4,16
last="the same clusters again"
verdict "the same lines" "$(diff "$work/one/simgrid.jsonl" "$work/again/simgrid.jsonl")"

# Even routing, free of what other programs do: what the model leaves out is small.
last="error of the model"
verdict "below 0.1 everywhere" "$(sed -E 's/.*"error": ([^,}]+).*/\1/' "$work/one/simgrid.jsonl" | awk '$1 > 0.1 || $1 < -0.1')"

run "$source_tree/scripts/simgrid.sh" --hosts none
verdict "exit code 2 and one line" "$(echo "$code $(wc -l <"$work/err")" | grep -vx '2 1')"
finish
