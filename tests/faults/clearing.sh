#!/bin/bash
# The market that ends a training: the same on any number of ranks, and its files are what the market's own commands
# take; bad settings of it are refused before the training.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# Devices so slow that they ask the edge for help, and an edge too small for all of them.
cat >>"$deck" <<'DECK'
market:
  thresholds: [0.0045, 0.01, 1]
  device_flops_least: 1e5
  device_flops_most: 5e7
  unit_flops: 1e6
  capacity_flops: 3e8
  max_share: 0.3
DECK
sed -i 's/^  devices: 4/  devices: 8/' "$deck"
out=$work/one
files() { printf '%s\n' "$1/market.json" "$1/market.h5" "$1/workload.json"; }

# Two JSON files are equal but for speeds measured and seconds.
cat >"$work/equal.py" <<'PYTHON'
import json, sys

def known(x):
    if isinstance(x, dict):
        return {k: known(v) for k, v in x.items() if k not in ("measured_flops", "seconds")}
    return [known(v) for v in x] if isinstance(x, list) else x

a, b = (json.load(open(path)) for path in sys.argv[1:3])
for key in sys.argv[3:]:
    a, b = a[key], b[key]
assert a and known(a) == known(b), (known(a), known(b))
PYTHON
equal() { # FILE FILE [KEY]
  run python3 "$work/equal.py" "$@"
  ends 0
  [ "$code" -eq 0 ] || tail -n 1 "$work/err"
}

# as_first FOLDER: its market is that of $out.
as_first() {
  local file
  for file in market.json workload.json; do equal "$out/$file" "$1/$file"; done
  equal "$out/report.json" "$1/report.json" market
  edgefuse diff "$out/market.h5" "$1/market.h5"
  ends 0
}

# ---- on any number of ranks, and again ------------------------------------------------------------------------

edgefuse train "$deck" --out "$out" -q
ends 0
# shellcheck disable=SC2046
present $(files "$out")
verified "$out/market.h5"
grep -q '^## Edge market$' "$out/report.md" || verdict 'a section of report.md' "$(grep '^## ' "$out/report.md")"
edgefuse_on 3 train "$deck" --out "$work/three" -q
ends 0
as_first "$work/three"

# A finished run clears again, from what it has on disk.
# shellcheck disable=SC2046
rm $(files "$work/three") "$work/three/report.json"
edgefuse_on 2 train "$deck" --out "$work/three" -q --resume
ends 0
as_first "$work/three"

# The market may be asked again with other rules, without a new training.
edgefuse train "$deck" --out "$work/three" -q --resume --set market.variant=E
ends 0
run python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["market"]["variant"])' "$work/three/report.json"
verdict 'variant E' "$(grep -qx E "$work/out" || cat "$work/out" "$work/err")"

# ---- what the market's commands make of it --------------------------------------------------------------------

edgefuse market solve "$out/market.json" --expect --checkpoint "$(newest "$out")"
ends 0
cp "$work/out" "$work/solved.json"
run python3 - "$work/solved.json" "$out" <<'PYTHON'
import json, math, sys

def close(x, y):  # report.json has ten digits
    return math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12)

solved = json.load(open(sys.argv[1]))
report = json.load(open(sys.argv[2] + "/report.json"))["market"]
workload = json.load(open(sys.argv[2] + "/workload.json"))
market, devices = solved["markets"][0], report["per_device"]
assert len(devices) == len(solved["users"]) == report["users"] == 8
for device, user in zip(devices, solved["users"]):
    assert user["id"] == "device%d" % device["device"]
    for mine, theirs in (("status", "status"), ("units", "demand"), ("policy", "policy"), ("partition", "partition")):
        assert device[mine] == user[theirs], (mine, device, user)
    assert close(device["unit_price"], user["unit_price"]) and close(device["payment"], user["payment"]), (device, user)
for key in ("capacity", "kept", "winners", "used", "consensus"):
    assert report[key] == market[key], key
for key in ("floor", "F", "F2", "revenue", "profit"):
    assert close(report[key], market[key]), key
assert close(report["expected_profit"], market["expected"]["profit"])
assert close(report["bound"], market["expected"]["bound"])
assert report["coin"] == {k: float("%.10g" % v) for k, v in solved["coin"].items()}
statuses = [device["status"] for device in devices]
counts = report["statuses"]
assert counts == {status: statuses.count(status) for status in counts} and sum(counts.values()) == 8
assert "win" in statuses and len(set(statuses)) > 2, statuses  # else this deck tests little
assert report["audit"]["passes"] is True
assert workload["checkpoint"] == report["checkpoint"] and len(workload["exits"]) == 2
assert [p["threshold"] for p in workload["policies"]] == [0.0045, 0.01, 1]
assert [p["accuracy"] for p in workload["policies"]] != [workload["policies"][0]["accuracy"]] * 3
PYTHON
ends 0
[ "$code" -eq 0 ] || tail -n 1 "$work/err"

edgefuse market audit "$out/market.json"
ends 0

# The same profile, made by hand from the checkpoint.
head -n 5 "$source_tree/inputs/corpus/gardening.jsonl" >"$work/some.jsonl"
edgefuse profile "$(newest "$out")" --text "$work/some.jsonl" --kind autoregressive --out "$work/mine.json"
ends 0
run python3 - "$work/mine.json" "$out/workload.json" <<'PYTHON'
import json, sys
mine, theirs = (json.load(open(path)) for path in sys.argv[1:])
assert mine["checkpoint"] == theirs["checkpoint"] and mine["layers"][0]["flops"] == theirs["layers"][0]["flops"]
PYTHON
ends 0

# A profile of another model.
edgefuse train "$deck" --out "$work/other" -q --set run.seed=2
ends 0
refused 5 'market.json: workload qwen2_moe is a profile of checkpoint .*--any-checkpoint' \
  market solve "$out/market.json" --out "$work/never.json" --checkpoint "$(newest "$work/other")"
edgefuse market solve "$out/market.json" --out "$work/solved.json" --checkpoint "$(newest "$work/other")" \
  --any-checkpoint
ends 0 'warning: .*taken as they are'
absent "$work/never.json"

# The workload in a simulation.
cat >"$work/simulation.yaml" <<DECK
run: {seed: 3}
market:
  workloads: [$out/workload.json]
  mechanisms: [aeria-t, first-rejected]
  slots: 3
  training_slots: 1
  users_least: 8
  users_most: 14
  device_flops_most: 1e8
  device_flops_least: 1e5
  unit_flops: 1e6
  capacity_ratio: 1
DECK
edgefuse market simulate "$work/simulation.yaml" --out "$work/simulated" -q
ends 0
verified "$work/simulated/market.h5"

# ---- no market ------------------------------------------------------------------------------------------------

# without_market FOLDER: a finished run with a report, but nothing of a market.
without_market() {
  # shellcheck disable=SC2046
  absent $(files "$1")
  grep -q '^  "market": null,$' "$1/report.json" || verdict '"market": null' "$(grep '"market"' "$1/report.json")"
  ! grep -q 'Edge market' "$1/report.md" || verdict 'no market in report.md' 'one'
}
edgefuse train "$deck" --out "$work/none" -q --set market.clear=false
ends 0
without_market "$work/none"
edgefuse train "$deck" --out "$work/mute" --set text.validation_share=0
ends 0 'warning: market: .*no validation text'
without_market "$work/mute"

# A market of one device, which no price that others make can be asked of.
edgefuse_on 2 train "$deck" --out "$work/alone" -q --set federation.devices=1 --set fusion.clusters=1 \
  --set market.profile_windows=1
ends 0
edgefuse market audit "$work/alone/market.json"
ends 0

# Devices whose upload fails are users all the same; capacity as a share of what so many users ask for.
edgefuse_on 3 train "$deck" --out "$work/failing" -q --set 'federation.fail=[0]' --set market.capacity_ratio=1 \
  --set market.max_share=1
ends 0
run python3 - "$work/failing/report.json" "$out/report.json" <<'PYTHON'
import json, sys
failing, first = (json.load(open(path))["market"] for path in sys.argv[1:])
assert failing["users"] == 8 and failing["per_device"][0]["status"] != "infeasible"
units = sum(device["units"] for device in failing["per_device"])
assert units / 4 < failing["capacity"] < 4 * units, (failing["capacity"], units)
PYTHON
ends 0
[ "$code" -eq 0 ] || tail -n 1 "$work/err"

# ---- refused before anything is trained -----------------------------------------------------------------------

refused 4 'nowhere.csv' train "$deck" --out "$work/bad" -q --set market.price_file=nowhere.csv
printf 'user,bps\na,7e6\nb,0\n' >"$work/still.csv"
refused 4 'still.csv:3: ' train "$deck" --out "$work/bad" -q --set market.uplink_file=still.csv
refused 4 'capacity_flops' train "$deck" --out "$work/bad" -q --set market.capacity_flops=1e30
empty "$work/bad"
finish
