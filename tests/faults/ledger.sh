#!/bin/bash
# Every byte that devices send is counted, and the count is the closed formula; who failed to send is named.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# total FOLDER KEY: a number of the object "communication" in report.json.
total() { sed -n "/^  \"communication\"/,/^  }/s/^    \"$2\": \([0-9]*\),*$/\1/p" "$1/report.json"; }
# sent FOLDER: bytes up of each device, in order.
sent() { sed -n '/"per_device"/,/^    \]/s/^ *"up_bytes": \([0-9]*\),*$/\1/p' "$1/report.json"; }
# left_out FOLDER: numbers of the devices in the list "left_out".
left_out() { sed -n '/^  "left_out": \[$/,/^  \]/s/^ *"device": \([0-9]*\),*$/\1/p' "$1/report.json" | xargs; }
equal() { verdict "$1: $2" "$([ "$2" = "$3" ] || echo "${3:-nothing}")"; } # WHAT WANTED FOUND

full=$work/full
edgefuse train "$deck" --out "$full" -q
ends 0
equal 'sum over devices' "$(total "$full" up_bytes)" "$(($(sent "$full" | paste -s -d +)))"
equal 'closed formula' "$(total "$full" formula_bytes)" "$(total "$full" up_bytes)"
equal 'bytes down' 0 "$(total "$full" down_bytes)"
equal 'devices left out' '' "$(left_out "$full")"
equal 'devices' 4 "$(sent "$full" | wc -l)"

# An upload is the weights, 4 bytes a number, and 16 numbers of 2 bytes; on the bfloat16 wire the weights take half.
half=$work/half
edgefuse_on 2 train "$deck" --out "$half" -q --set federation.wire=bfloat16
ends 0
equal 'bfloat16: closed formula' "$(total "$half" formula_bytes)" "$(total "$half" up_bytes)"
equal 'bfloat16: half the weights' $((($(total "$full" up_bytes) - 4 * 32) / 2 + 4 * 32)) "$(total "$half" up_bytes)"
weights=$(($(sent "$full" | head -n 1) - 32))
equal 'weights of device 0 in whole numbers of 4 bytes' 0 $((weights % 4))

# By the parameters of the device's own model, as its part says.
edgefuse inspect "$full/parts/device_00000.h5" --json
elements=$("${PYTHON:-python3}" -c 'import json, sys, math
print(sum(math.prod(d["shape"]) for d in json.load(sys.stdin)["datasets"] if d["path"].startswith("/model/")
          and d["type"].endswith("32")))' <"$work/out" 2>/dev/null)
if [ -n "$elements" ]; then
  equal 'device 0: 4 bytes a parameter, 32 of the embedding' $((4 * elements + 32)) "$(sent "$full" | head -n 1)"
else
  skip 'parameters of a part: no python3'
fi

# Devices that fail: one by name, one by the same seed's chance or none.
partial=$work/partial
edgefuse train "$deck" --out "$partial" -q --set 'federation.fail=[1]'
ends 0
equal 'left out' 1 "$(left_out "$partial")"
equal 'bytes of device 1' 0 "$(sent "$partial" | sed -n 2p)"
equal 'the others as before' "$(sent "$full" | sed 2d | xargs)" "$(sent "$partial" | sed 2d | xargs)"
equal 'sum over devices' "$(($(sent "$partial" | paste -s -d +)))" "$(total "$partial" up_bytes)"
equal 'closed formula' "$(total "$partial" formula_bytes)" "$(total "$partial" up_bytes)"
verdict 'report.md names it' "$(grep -q 'left out: failed to upload' "$partial/report.md" || grep -n 'left out' "$partial/report.md" || echo none)"

# A resumed run counts the bytes once.
rm "$partial"/checkpoint/* "$partial"/parts/proxy_00000.h5
before=$(total "$partial" up_bytes)
edgefuse_on 3 train "$deck" --out "$partial" -q --set 'federation.fail=[1]' --resume
ends 0
equal 'bytes up after resume' "$before" "$(total "$partial" up_bytes)"
equal 'left out after resume' 1 "$(left_out "$partial")"
finish
