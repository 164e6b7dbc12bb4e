#!/bin/bash
# What holds for every method: one report, the same bits on any number of ranks, the ledger equal to its formula, and a
# folder that another method cannot resume.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# value FILE KEY...: a value of a JSON file; nothing without python3.
value() {
  "${PYTHON:-python3}" -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]: value = value[int(key)] if isinstance(value, list) else value[key]
print(value)' "$@" 2>/dev/null
}
equal() { # WHAT WANTED FOUND
  verdict "$1: ${2:-a value}" "$([ -n "$2" ] && [ "$2" = "$3" ] || echo "${3:-nothing}")"
}

refused 2 'no such method; edgefuse knows: deepfusion' train "$deck" --out "$work/none" --method nosuch
absent "$work/none"
methods=$(sed -n 's/.*edgefuse knows: //p' "$work/err" | tr -d ,)
settings=(--set market.clear=false --set rivals.experts=2 --set rivals.top_k=8 --set rivals.device_steps=4)

for method in $methods; do
  for ranks in 1 3; do
    edgefuse_on "$ranks" train "$deck" --out "$work/$method-$ranks" -q --method "$method" "${settings[@]}"
    ends 0
  done
  same "$work/$method-1" "$work/$method-3"
  edgefuse_on 3 train "$deck" --dry-run --json --method "$method" "${settings[@]}"
  ends 0
  cp "$work/out" "$work/plan.json"
  report=$work/$method-1/report.json
  equal "$method: named in the report" "$method" "$(value "$report" method)"
  equal "$method: up" "$(value "$report" communication formula_bytes)" "$(value "$report" communication up_bytes)"
  equal "$method: down" "$(value "$report" communication formula_down_bytes)" \
    "$(value "$report" communication down_bytes)"
  equal "$method: planned up" "$(value "$work/plan.json" upload_bytes)" "$(value "$report" communication up_bytes)"
  equal "$method: planned down" "$(value "$work/plan.json" download_bytes)" \
    "$(value "$report" communication down_bytes)"
done

# The control of a run and the method of that name are one training.
equal 'public_only beside deepfusion' "$(value "$work/deepfusion-1/report.json" baselines public_only all log_perplexity)" \
  "$(value "$work/public_only-1/report.json" quality all log_perplexity)"

cp -r "$work/deepfusion-1" "$work/foreign"
edgefuse train "$deck" --out "$work/foreign" -q --method central --resume "${settings[@]}"
ends 5 'made by method deepfusion, not central'
finish
