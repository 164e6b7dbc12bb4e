#!/bin/bash
# A finished run feeds every picture of scripts/plots, and run.h5 tells the bytes apart as the ledger did.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

python=/usr/bin/python3
if ! "$python" -c 'import h5py, matplotlib' 2>/dev/null; then
  skip 'no h5py or matplotlib: no pictures'
  finish
fi
export MPLCONFIGDIR=$work/matplotlib
"$python" -c 'import matplotlib.pyplot' 2>/dev/null

# bytes FOLDER: "direction class bytes" of each class that any byte was of, then whether sums agree with the report.
bytes() {
  "$python" - "$1" <<'PYTHON'
import json, sys
import h5py
file = h5py.File(sys.argv[1] + "/run.h5", "r")
told = json.load(open(sys.argv[1] + "/report.json"))["communication"]
group = file["ledger"]
names, sums = group.attrs["classes"].decode().split(","), []
for direction in ("up", "down"):
    counts = group[direction + "_bytes"][()].sum(axis=0)
    print(*(f"{direction} {name} {count}" for name, count in zip(names, counts) if count), sep="\n")
    sums.append(counts.sum())
print("agree", sums == [told["up_bytes"], told["down_bytes"]],
      group["formula_bytes"][()].tolist() == [told["formula_bytes"], told["formula_down_bytes"]])
PYTHON
}

full=$work/full
edgefuse train "$deck" --out "$full" -q
ends 0
last="bytes of $full"
bytes "$full" >"$work/bytes"
# An upload carries 16 numbers of 2 bytes beside the weights; four devices.
verdict 'embeddings of four devices' "$(grep -qx 'up embedding 128' "$work/bytes" || cat "$work/bytes")"
verdict 'weights up, nothing down' "$(grep -Eqv '^(up weights [0-9]+|up embedding 128|agree True True|)$' "$work/bytes" && cat "$work/bytes")"
verdict 'as in the report' "$(grep -qx 'agree True True' "$work/bytes" || cat "$work/bytes")"

run "$source_tree/scripts/plots" "$full"
ends 0
for name in loss quality bytes traffic experts lineage; do present "$full/plots/$name.png"; done
verdict 'nothing damaged' "$(cat "$work/err")"

other=$work/fedkmt
edgefuse train "$deck" --method fedkmt --out "$other" -q
ends 0
last="bytes of $other"
bytes "$other" >"$work/bytes"
verdict 'logits up and down' "$([ "$(grep -Ec '^(up|down) logits [0-9]+$' "$work/bytes")" -eq 2 ] || cat "$work/bytes")"
verdict 'as in the report' "$(grep -qx 'agree True True' "$work/bytes" || cat "$work/bytes")"

run "$source_tree/scripts/plots" "$full" "$other"
ends 0
present "$work/plots/perplexity.png" "$work/plots/index.html"
finish
