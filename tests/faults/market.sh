#!/bin/bash
# The market's simulation as a command: what it writes, that its forms agree, and what it refuses.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

market=$work/market.yaml
out=$work/run
cat >"$market" <<'DECK'
run: {seed: 3}
market:
  workloads: [alexnet, resnet34]
  slots: 5
  training_slots: 2
  users_least: 8
  users_most: 14
  capacity_flops: 4e11
  sweeps: [c, tail]
  sweep_slots: 2
DECK
simulate() { edgefuse market simulate "$market" --out "$out" "$@"; }

# refuses CODE PATTERN ARGUMENT...: the simulation with these options is refused and leaves no file.
refuses() {
  local code=$1 pattern=$2
  shift 2
  refused "$code" "$pattern" market simulate "$market" --out "$out" "$@"
  empty "$out"
}

# ---- refused before anything is written -----------------------------------------------------------------------

refuses 3 'set market.slot=3.*market.slots' --set market.slot=3
refuses 3 'market.workloads: alexnt: no such network.*mobilenet.*did you mean alexnet' --set 'market.workloads=[alexnt]'
refuses 3 'two workloads would be called alexnet' --set 'market.workloads=[alexnet,alexnet]'
refuses 3 'market.mechanisms: aeria-x: no such mechanism.*aeria-t' --set 'market.mechanisms=[aeria-x]'
refuses 3 'market.mechanisms: dot is named twice' --set 'market.mechanisms=[dot,dot]'
refuses 3 'market.sweeps.*capacity' --set 'market.sweeps=[capcity]'
refuses 4 'nowhere.csv' --set market.price_file=nowhere.csv
refused 2 'DECK' market simulate
refused 3 'nowhere.yaml' market simulate "$work/nowhere.yaml"

printf 'hour,price\n1,30\n2,thirty\n' >"$work/words.csv"
refuses 4 'words.csv:3: .*thirty' --set market.price_file=words.csv
printf 'hour,price\n1,30\n2,31,7\n' >"$work/ragged.csv"
refuses 4 'ragged.csv:3: ' --set market.price_file=ragged.csv
printf 'user,bps\na,7e6\nb,0\n' >"$work/still.csv"
refuses 4 'still.csv:3: ' --set market.uplink_file=still.csv --set market.uplink_column=bps
refuses 4 'still.csv.*mbps' --set market.uplink_file=still.csv --set market.uplink_column=mbps
: >"$work/empty.csv"
refuses 4 'empty.csv' --set market.arrivals_file=empty.csv
printf '{"name": "mine", "layers": []}' >"$work/mine.json"
refuses 4 'mine.json: ' --set 'market.workloads=[mine.json]'

mkdir "$out"
printf '{}' >"$out/report.json"
refused 2 'holds a training run.*--out' market simulate "$market" --out "$out"
verdict 'the run as it was' "$(results "$out" | grep -v 'report.json$')"
rm -r "$out"

# ---- what it writes -------------------------------------------------------------------------------------------

simulate
ends 0
cp "$work/out" "$work/table"
present "$out/market.h5" "$out/report.md" "$out/deck.yaml"
verified "$out/market.h5"
for word in aeria-t knapsack-vcg omniscient-f2; do
  grep -q -- "^| $word " "$work/table" || verdict "a row of $word on standard output" "$(head -n 20 "$work/table")"
  grep -q -- "^| $word " "$out/report.md" || verdict "a row of $word in report.md" "$(head -n 20 "$out/report.md")"
done
grep -q '4 of 4 traces are synthetic' "$out/report.md" || verdict 'synthetic traces are named' 'none'
grep -q "^.edgefuse market simulate $market --out $out.$" "$out/report.md" ||
  verdict 'the command in report.md' "$(tail -n 5 "$out/report.md")"

# The folder of a simulation may be used again, also on two ranks; only measured times differ.
mv "$out" "$work/first"
edgefuse_on 2 market simulate "$market" --out "$out" --json
ends 0
cp "$work/out" "$work/json"
simulate --json
ends 0
edgefuse market simulate "$work/first/deck.yaml" --out "$work/again" -q
ends 0
[ ! -s "$work/err" ] || verdict 'nothing on standard error with -q' "$(cat "$work/err")"

python=/usr/bin/python3
if "$python" -c 'import h5py' 2>/dev/null; then
  run "$python" - "$work/json" "$out/market.h5" "$work/first/market.h5" "$work/again/market.h5" <<'PYTHON'
import json, math, sys
import h5py, numpy as np

with open(sys.argv[1]) as file:
    result = json.loads(file.read())  # one object and nothing else
files = [h5py.File(path, "r") for path in sys.argv[2:]]
market = files[0]

def equal(x, y):
    return math.isnan(y) if x is None else x == y

def datasets(file):
    found = {}
    file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: value for name, value in found.items() if not name.endswith("/seconds") and name != "deck"}

assert result["slots"] == 5 and result["seed"] == 3 and result["aeria"] == "aeria-t", result
assert result["synthetic"] == ["arrivals", "price", "uplink", "device"], result["synthetic"]
assert [w["name"] for w in result["workloads"]] == ["alexnet", "resnet34"]
keys = {"name", "truthful", "one_price", "revenue", "profit", "ratio_mean", "ratio_min", "served", "utilisation",
        "envy_rate", "consensus_rate", "latency_met", "accuracy_met", "seconds"}
for workload in result["workloads"]:
    group = market["simulation"][workload["name"]]["summary"]
    assert [m["name"] for m in workload["mechanisms"]] == group.attrs["mechanisms"].split(b",") or \
        ",".join(m["name"] for m in workload["mechanisms"]) in str(group.attrs["mechanisms"])
    for i, mechanism in enumerate(workload["mechanisms"]):
        assert keys <= set(mechanism), keys - set(mechanism)
        for key in keys & set(group):
            assert equal(mechanism[key], group[key][i]), (workload["name"], mechanism["name"], key)
for sweep in result["sweeps"]:
    for workload in sweep["workloads"]:
        group = market["sweep"][sweep["name"]][workload["name"]]
        assert sweep["points"] == list(group["point"])
        for i, mechanism in enumerate(workload["mechanisms"]):
            assert all(equal(x, y) for x, y in zip(mechanism["ratio_mean"], group["ratio_mean"][:, i]))

# Money by slot is the money of the bids, and nothing is sold twice.
for workload, bids in market["bids"].items():
    simulation = market["simulation"][workload]
    names = str(bids.attrs["mechanisms"]).split(",")
    for slot in range(5):
        here = bids["slot"][()] == slot
        units = bids["allotted"][here, :].sum(axis=0)
        used = np.minimum(bids["allotted"][here, :], bids["demand"][()][here, None]).sum(axis=0)
        paid = bids["payment"][here, :].sum(axis=0)
        cost = simulation["traffic/unit_cost"][slot]
        assert np.allclose(paid, simulation["slots/revenue"][:, slot], rtol=1e-12, atol=1e-12)
        assert np.allclose(paid - cost * used, simulation["slots/profit"][:, slot], rtol=1e-9, atol=1e-9)
        assert (units <= simulation.attrs["capacity"] * (1 + 1e-12)).all(), (workload, slot, units)
    assert np.allclose(simulation["slots/profit"][()].mean(axis=1), simulation["summary/profit"][()], rtol=1e-12)

wanted = datasets(files[0])
for other in files[1:]:
    found = datasets(other)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.array_equal(value, found[name], equal_nan=value.dtype.kind == "f"), name
PYTHON
  ends 0
  [ "$code" -eq 0 ] || tail -n 3 "$work/err"
else
  skip 'no h5py: JSON and HDF5 are not compared'
fi

# ---- measured traces ------------------------------------------------------------------------------------------

printf 'hour,price\n1,30\n2,-4\n3,50\n' >"$work/price.csv"
simulate --set market.price_file=price.csv --set market.price_column=price --json
ends 0
grep -q 'price.csv: 1 of 3 prices are below 0' "$work/err" || verdict 'a warning of prices below 0' "$(cat "$work/err")"
grep -q '"synthetic": \["arrivals", "uplink", "device"\]' "$work/out" ||
  verdict 'three synthetic traces' "$(tail -c 300 "$work/out")"
grep -q '3 of 4 traces are synthetic' "$out/report.md" || verdict 'three synthetic traces in report.md' 'not found'

# ---- pictures -------------------------------------------------------------------------------------------------

plots() { run "$source_tree/scripts/plots" "$@"; }
says() { # CODE PATTERN: the script's one line
  local got
  got="code $code: $(tail -n 3 "$work/err")"
  if [ "$code" -eq "$1" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -Eq -- "^plots: .*$2" "$work/err"; then got=''; fi
  verdict "code $1, one line 'plots: ...$2'" "$got"
}
if "$python" -c 'import h5py, matplotlib' 2>/dev/null; then
  export MPLCONFIGDIR=$work/matplotlib
  plots "$out"
  ends 0
  present "$out/plots/ratio.png" "$out/plots/profit_alexnet.png" "$out/plots/sweep_c.png" "$out/plots/index.html"
  [ "$(grep -c 'data:image/png;base64,' "$out/plots/index.html")" -eq "$(find "$out/plots" -name '*.png' | wc -l)" ] ||
    verdict 'every picture in index.html' "$(find "$out/plots")"
  plots
  says 2 RUN
  plots "$work/nowhere"
  says 4 'nowhere: no such folder'
  mkdir "$work/bare"
  plots "$work/bare"
  says 4 'neither market.h5 nor run.h5'
  head -c 4000 "$out/market.h5" >"$work/bare/market.h5"
  plots "$work/bare"
  says 4 'market.h5: not a readable HDF5 file'
else
  skip 'no h5py or matplotlib: no pictures'
fi
finish
