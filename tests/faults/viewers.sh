#!/bin/bash
# Every file of a run and of a market study opens in h5ls, h5dump and h5py, explains each of its datasets, and leads a
# viewer (H5Web, silx) from its root to a plot.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

out=$work/run
edgefuse train "$deck" --out "$out" -q
ends 0
cat >"$work/market.yaml" <<'DECK'
run: {seed: 3}
market:
  workloads: [alexnet, resnet34]
  mechanisms: [aeria-t, dot]
  slots: 3
  training_slots: 1
  users_least: 8
  users_most: 14
  capacity_flops: 4e11
  sweeps: [c]
  sweep_slots: 2
DECK
edgefuse market simulate "$work/market.yaml" --out "$work/study" -q
ends 0
plots=("$out/run.h5" "$out/market.h5" "$(newest "$out")" "$work/study/market.h5")
others=("$out/tokens/tokens.h5" "$out"/parts/*.h5)
present "${plots[@]}" "${others[@]}"
verified "${plots[@]}" "$out/tokens/tokens.h5"

# ---- inspect and diff -----------------------------------------------------------------------------------------

# says FILE PATTERN...: inspect prints a line that matches each.
says() {
  local file=$1 pattern
  shift
  edgefuse inspect "$file"
  ends 0
  for pattern in "$@"; do
    verdict "a line '$pattern'" "$(grep -Eq -- "$pattern" "$work/out" || head -n 20 "$work/out")"
  done
}
says "$out/run.h5" '^  deck_hash ' '^  plot +/units/tune/ce$' '^expert load' '^lineage.*4 devices' '^ledger of 4 devices' \
  '^  weights +[1-9][0-9]* +0$' 'up_bytes .* byte .*bytes that the device sent'
says "$(newest "$out")" '^  random +philox' '^  plot +/results/expert_load$' '^expert load' '^  experts? 0.* device '

# A second study has other measured times and the same results; a deck's key is named.
edgefuse market simulate "$work/market.yaml" --out "$work/again" -q
ends 0
edgefuse diff "$work/study/market.h5" "$work/again/market.h5"
ends 0
verdict 'nothing but times' "$(grep -Ev '^(a|b): |measured time' "$work/out")"
edgefuse market simulate "$work/market.yaml" --out "$work/other" -q --set market.users_most=15
ends 0
edgefuse diff "$work/study/market.h5" "$work/other/market.h5"
ends 1
verdict 'the key' "$(grep -qx 'deck market.users_most: 14 -> 15' "$work/out" || head -n 5 "$work/out")"

# ---- HDF5's own tools -----------------------------------------------------------------------------------------

# reads FILE COMMAND...: the command reads the file without a word of complaint.
reads() {
  local file=$1
  shift
  run "$@" "$file"
  verdict 'code 0, no errors' "$([ "$code" -eq 0 ] && [ ! -s "$work/err" ] || echo "code $code: $(head -n 3 "$work/err")")"
}
for tool in h5ls h5dump; do
  command -v "$tool" >/dev/null || {
    skip "$tool: not installed (hdf5-tools)"
    continue
  }
  for file in "${plots[@]}" "${others[@]}"; do
    case $tool in
    h5ls) reads "$file" h5ls -r -v ;;
    h5dump) reads "$file" h5dump -H ;;
    esac
  done
done

# ---- viewers --------------------------------------------------------------------------------------------------

# Debian's Python: another one first in the path may lack Debian's modules.
python=${EDGEFUSE_H5PY:-/usr/bin/python3}
"$python" -c 'import h5py' 2>/dev/null || {
  skip 'attributes that viewers follow: no h5py (python3-h5py)'
  finish
}

# viewed FILE... [--plots]: the checker has nothing to say.
viewed() {
  run "$python" "$here/viewers.py" "$@"
  verdict 'nothing that a viewer stumbles over' "$(cat "$work/out" "$work/err")"
  ends 0
}
viewed "${plots[@]}" --plots
viewed "${others[@]}"

# The checker sees what is wrong: an axis that is not there, a default that leads nowhere.
cp "$out/run.h5" "$work/broken.h5"
"$python" - "$work/broken.h5" <<'PYTHON'
import h5py, sys
with h5py.File(sys.argv[1], "r+") as file:
    del file["expert_load/layer"]
    file["units"].attrs["default"] = "nowhere"
PYTHON
run "$python" "$here/viewers.py" "$work/broken.h5" --plots
verdict 'the faults by name' "$(grep -v -e 'axis layer is not there' -e 'default .*nowhere.* is not there' "$work/out")"
verdict 'two faults, one of them seen twice' "$([ "$(wc -l <"$work/out")" -eq 3 ] || cat "$work/out" "$work/err")"

# Its bytes by class of message are those of the report, device by device; shares of an expert add up.
run "$python" - "$out" "$(newest "$out")" <<'PYTHON'
import h5py, json, sys
report = json.load(open(sys.argv[1] + "/report.json"))
with h5py.File(sys.argv[1] + "/run.h5") as file:
    for way in "up", "down":
        found = file[f"ledger/{way}_bytes"][()].sum(axis=1).tolist()
        wanted = [d[f"{way}_bytes"] for d in report["communication"]["per_device"]]
        if found != wanted or found != file[f"clients/{way}_bytes"][()].tolist():
            print(way, found, wanted)
    shares = file["lineage/expert_device"][()].sum(axis=1)
    if abs(shares[shares > 0] - 1).max(initial=0) > 1e-6:
        print("shares", *shares)
    with h5py.File(sys.argv[2]) as checkpoint:
        for name in "identity", "text", "method":
            if file.attrs[name] != checkpoint.attrs[name]:
                print(name, file.attrs[name], checkpoint.attrs[name])
        if (file["lineage/expert_device"][()] != checkpoint["lineage/expert_device"][()]).any():
            print("lineage of run.h5 and of the checkpoint")
PYTHON
verdict 'ledger, lineage and identity as in report and checkpoint' "$(cat "$work/out" "$work/err")"
finish
