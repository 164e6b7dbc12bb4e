#!/bin/bash
# The plan's memory against the measured peak of the largest rank: at most a tenth apart, where what a rank holds is
# small beside the libraries and where it is not.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

python=${PYTHON:-python3}
"$python" -c '' 2>/dev/null || { skip "no $python to read reports with"; finish; }

# near WHAT REPORT RANKS: its planned and measured bytes are at most a tenth apart, on one of the ranks.
near() {
  verdict "$1: plan within 10 % of the peak" "$("$python" - "$2" "$3" <<'CODE' 2>&1
import json, sys
memory = json.load(open(sys.argv[1]))["plan_error"]["memory"]
planned, measured = memory["planned_bytes"], memory["measured_bytes"]
if abs(planned / measured - 1) > 0.1 or abs(planned / measured - 1 - memory["relative"]) > 1e-6:
    print(f"planned {planned}, measured {measured}, relative {memory['relative']}")
if not 0 <= memory["rank"] < int(sys.argv[2]):
    print(f"rank {memory['rank']}")
CODE
)"
}

# wider FILE: the tiny deck with some megabytes of parameters, and their running average.
wider() {
  sed -e '/^global:/,/^tune:/s/width: 32/width: 160/;s/expert_width: 16/expert_width: 128/;s/shared_width: 32/shared_width: 320/' \
    -e 's/steps: 10/steps: 4/;s/context: 16/context: 64/;s/^tune:/&\n  average: 0.9/' "$deck" >"$1"
}

wide=$work/wide.yaml
wider "$wide"
settings=(--set market.clear=false --set rivals.top_k=8 --set rivals.device_steps=2)
for case in tiny wide; do
  for method in deepfusion fedavg fedkmt; do
    for ranks in 1 2; do
      out=$work/$case-$method-$ranks
      edgefuse_on "$ranks" train "$work/$case.yaml" --out "$out" -q --method "$method" "${settings[@]}"
      ends 0
      near "$case $method on $ranks" "$out/report.json" "$ranks"
      rm -rf "$out/parts" "$out/checkpoint"
    done
  done
done

# A plan for more ranks than there are is that of a launch of so many, but for what is resident from the start.
counted() { "$python" -c 'import json, sys; p = json.load(sys.stdin)
print(p["ranks"], p["nodes"], p["peak_bytes"] - p["start_bytes"], p["peak_phase"], p["peak_place"])' <"$work/out"; }
for method in deepfusion fedavg; do
  edgefuse plan "$wide" --method "$method" --ranks 3 --json
  ends 0
  alone=$(counted)
  edgefuse_on 3 plan "$wide" --method "$method" --json
  ends 0
  verdict "$alone" "$([ "$(counted)" = "$alone" ] || counted)"
done

# The plan says where the peak is.
edgefuse plan "$wide" --method central --json
ends 0
verdict 'a phase and its ranks' "$(grep -q '"peak_phase": "tuning", "peak_place": "all"' "$work/out" || cat "$work/out")"
finish
