#!/bin/bash
# Method fedkmt: the bits of one rank on any number of ranks and after any stop; every byte of logits is counted, both
# ways, and the count is the closed formula; devices that fail are left out.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

cat >>"$deck" <<'DECK'
rivals: {device_steps: 10}
control: {public_only: false}
market: {clear: false}
DECK

fedkmt() { # RANKS FOLDER ARGUMENT...
  local ranks=$1 out=$2
  shift 2
  edgefuse_on "$ranks" train "$deck" --method fedkmt --out "$out" -q "$@"
}
# total FOLDER KEY: a number of the object "communication" in report.json.
total() { sed -n "/^  \"communication\"/,/^  }/s/^    \"$2\": \([0-9]*\),*$/\1/p" "$1/report.json"; }
equal() { verdict "$1: $2" "$([ "$2" = "$3" ] || echo "${3:-nothing}")"; } # WHAT WANTED FOUND
closed() { # FOLDER UP DOWN
  equal 'bytes up' "$2" "$(total "$1" up_bytes)"
  equal 'bytes down' "$3" "$(total "$1" down_bytes)"
  verdict 'the ledger is the closed formula' "$(grep -q 'closed formula: equal' "$1/report.md" || echo no)"
}
# alike FOLDER FOLDER: result, chosen targets and the devices' last models have equal bits.
alike() {
  local part
  same "$1" "$2"
  for part in targets_00000 targets_00001 round_00000 local_00000 local_00007; do
    edgefuse diff "$1/parts/$part.h5" "$2/parts/$part.h5"
    ends 0
  done
}

# ---- ranks and bytes -----------------------------------------------------------------------------------------

one=$work/one
fedkmt 1 "$one"
ends 0
for ranks in 2 3; do
  fedkmt "$ranks" "$work/on-$ranks"
  ends 0
  alike "$one" "$work/on-$ranks"
done

# 2 rounds, 4 devices. By 16 and 8 logits of a token: the difference is 8 logits of 8 bytes for every scored token, and
# what is left are 4 bytes for every window, as many windows as cover all tokens of the text but the first.
up=$(total "$one" up_bytes)
fedkmt 2 "$work/eight" --set rivals.top_k=8 --set rivals.device_steps=0
ends 0
eight=$(total "$work/eight" up_bytes)
scored=$(((up - eight) / (8 * 8 * 8)))
windows=$(((up / 8 - scored * 16 * 8) / 4))
equal 'whole numbers of bytes' "$up" $((8 * (scored * 16 * 8 + 4 * windows)))
verdict 'windows of at most 16 scored tokens' \
  "$([ "$scored" -gt 0 ] && [ $((windows * 16)) -ge "$scored" ] || echo "$windows windows, $scored tokens")"
closed "$one" $((8 * (scored * 16 * 8 + 4 * windows))) $((8 * (scored * 16 * 8 + 4 * windows)))
closed "$work/eight" $((8 * (scored * 8 * 8 + 4 * windows))) 0

# On the bfloat16 wire a logit takes 2 bytes; device 1 fails; one round.
fedkmt 2 "$work/half" --set federation.wire=bfloat16 --set 'federation.fail=[1]' --set rivals.rounds=1
ends 0
closed "$work/half" $((3 * (scored * 16 * 6 + 4 * windows))) $((3 * (scored * 16 * 6 + 4 * windows)))
absent "$work/half/parts/local_00001.h5" "$work/half/parts/logits_00001.h5"
verdict 'report.md names it' "$(grep -q 'left out: failed to upload' "$work/half/report.md" || echo no)"

# Without the second loss nothing of the devices reaches the global model; with it something does.
alone() { # FOLDER ARGUMENT...
  local out=$1
  shift
  edgefuse train "$deck" --method fedkmt --out "$out" -q --set rivals.rounds=1 --set rivals.device_steps=0 "$@"
  ends 0
}
alone "$work/none" --set rivals.kl=0
alone "$work/fewer" --set rivals.kl=0 --set 'federation.fail=[1]'
alone "$work/some"
edgefuse diff "$(newest "$work/none")" "$(newest "$work/fewer")"
equal 'tensors that differ' 0 "$(grep -c '/model/' "$work/out")"
edgefuse diff "$(newest "$work/none")" "$(newest "$work/some")"
verdict 'tensors that differ' "$(grep -q '/model/' "$work/out" || echo none)"

# ---- stops ---------------------------------------------------------------------------------------------------

# stop_after RANKS FOLDER PHASE: starts or resumes a run and stops it when this start ended the phase.
stop_after() {
  local log=$2/metrics.jsonl lines=0
  [ ! -e "$log" ] || lines=$(wc -l <"$log")
  start "$1" train "$deck" --method fedkmt --out "$2" -q --resume --set run.checkpoint_every=0
  wait_for "$log" "$lines" "\"$3\""
  : >"$2/stop"
  collect
  ends 75 'stopped by stop file'
}

stopped=$work/stopped
stop_after 2 "$stopped" "devices' logits"
stop_after 1 "$stopped" round
stop_after 3 "$stopped" 'transfer to devices'
stop_after 2 "$stopped" tuning
fedkmt 2 "$stopped" --resume
ends 0
alike "$one" "$stopped"
closed "$stopped" "$up" "$up"

# A part of the last round that is lost is made again, and the result stays.
rm "$stopped/parts/local_00005.h5" "$stopped/parts/targets_00001.h5"
fedkmt 1 "$stopped" --resume
ends 0
alike "$one" "$stopped"
closed "$stopped" "$up" "$up"

# ---- numbers -------------------------------------------------------------------------------------------------

# The decay of AdamW with these settings multiplies every weight of a device by -99 a step: all give out on their way
# back, with their bytes counted once, also by a run that finds their parts.
wild=(--set federation.pretrain_steps=0 --set federation.steps=0 --set federation.lr=10
  --set federation.weight_decay=10 --set federation.warmup=0 --set rivals.device_steps=40
  --set global.pretrain_steps=0)
once=$((4 * (scored * 16 * 8 + 4 * windows)))
fedkmt 2 "$work/wild" "${wild[@]}" --set rivals.rounds=1
ends 0
closed "$work/wild" "$once" "$once"
edgefuse train "$deck" --method fedkmt --out "$work/wild" -q --resume "${wild[@]}" --set rivals.rounds=1
ends 0
closed "$work/wild" "$once" "$once"
verdict 'report.md names 4 devices' \
  "$([ "$(grep -c 'left out: its numbers are not finite' "$work/wild/report.md")" -ge 4 ] || echo fewer)"
edgefuse train "$deck" --method fedkmt --out "$work/wilder" -q "${wild[@]}"
ends 7 'round 2: none of 4 devices is left'

# ---- refused -------------------------------------------------------------------------------------------------

refused 3 'rivals.top_k = 1000, but the vocabulary has 320 tokens' \
  train "$deck" --method fedkmt --out "$work/refused" -q --set rivals.top_k=1000
finish
