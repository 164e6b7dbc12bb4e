#!/bin/bash
# What DeepFusion can do beyond its paper: several rounds, proxies that weigh their members, text that proxies write.
# Each gives equal bits on any number of ranks and after stops, sends what its formula says, and changes no bit where it
# is off.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0.05/' "$deck"
echo "market: {clear: false}" >>"$deck"

# total FOLDER KEY: a number of the object "communication" in report.json.
total() { sed -n "/^  \"communication\"/,/^  }/s/^    \"$2\": \([0-9]*\),*$/\1/p" "$1/report.json"; }
equal() { verdict "$1: $2" "$([ "$2" = "$3" ] || echo "${3:-nothing}")"; } # WHAT WANTED FOUND

# trained NAME SETTING...: on one rank, in $work/NAME.
trained() {
  local name=$1
  shift
  edgefuse train "$deck" --out "$work/$name" -q "$@"
  ends 0
  equal "$name: closed formula" "$(total "$work/$name" formula_bytes)" "$(total "$work/$name" up_bytes)"
  equal "$name: bytes down" 0 "$(total "$work/$name" down_bytes)"
}

# ranks_agree NAME SETTING...: on 2 and 3 ranks as in $work/NAME.
ranks_agree() {
  local name=$1 ranks
  shift
  for ranks in 2 3; do
    edgefuse_on "$ranks" train "$deck" --out "$work/$name-$ranks" -q "$@"
    ends 0
    same "$work/$name" "$work/$name-$ranks"
  done
}

# stops_agree NAME SETTING...: stopped in the first round and later, on changing ranks, it ends as in $work/NAME.
stops_agree() {
  local name=$1 phase ranks=0 log=$work/$1-stops/metrics.jsonl lines=0
  shift
  for phase in 'local training' 'generated text' distillation; do
    start "$ranks" train "$deck" --out "$work/$name-stops" -q --resume "$@"
    wait_for "$log" "$lines" "\"$phase\""
    kill -USR1 "$background"
    collect
    ends 75 'stopped by SIGUSR1.*--resume'
    lines=$(wc -l <"$log")
    ranks=$((2 - ranks))
  done
  edgefuse_on 2 train "$deck" --out "$work/$name-stops" -q --resume "$@"
  ends 0
  same "$work/$name" "$work/$name-stops"
  equal "$name: bytes after stops" "$(total "$work/$name" up_bytes)" "$(total "$work/$name-stops" up_bytes)"
}

# same_model FOLDER FOLDER: equal bits of all tensors; the decks differ.
same_model() {
  local a b
  a=$(newest "$1") b=$(newest "$2")
  run "$program" diff "$a" "$b"
  verdict 'the same tensors' "$(grep '^/' "$work/out" | head -n 3)"
}

# differs NAME: the settings did something.
differs() {
  run "$program" diff "$(newest "$work/plain")" "$(newest "$work/$1")"
  ends 1 'differ'
}

weigh=(--set fusion.proxy_weights=validation)
rounds=(--set federation.rounds=3)
written=(--set fusion.transfer=generated --set fusion.generated_tokens=500)
trained plain
plain=$(total "$work/plain" up_bytes)

# ---- one by one ------------------------------------------------------------------------------------------------

trained off "${weigh[@]}" --set fusion.proxy_sharpness=0 "${written[@]}" --set fusion.generated_share=0
same_model "$work/plain" "$work/off"
equal 'a loss of 4 bytes from each of 4 devices' $((plain + 16)) "$(total "$work/off" up_bytes)"

trained weights "${weigh[@]}"
differs weights

trained generated "${written[@]}"
differs generated
equal 'generated text costs the devices nothing' "$plain" "$(total "$work/generated" up_bytes)"

# Weights in every round, the embeddings (32 bytes of each of 4 devices) in the first.
trained rounds "${rounds[@]}"
differs rounds
equal 'three rounds' $((3 * (plain - 128) + 128)) "$(total "$work/rounds" up_bytes)"
present "$work/rounds/parts/device_00011.h5" "$work/rounds/parts/proxy_00005.h5" "$work/rounds/parts/base_00005.h5"
for part in device_00003 proxy_00001 base_00001; do
  edgefuse diff "$work/plain/parts/$part.h5" "$work/rounds/parts/$part.h5"
  verdict "$part of the first round as without others" "$(grep '^/model' "$work/out" | head -n 3)"
done

# ---- a learning rate of a family ---------------------------------------------------------------------------------

# The rates of the two families are told once by the federation, once by each; one of their own changes its devices alone.
trained federation_rate --set federation.lr=0.02
trained family_rates --set federation.families.0.lr=0.02 --set federation.families.1.lr=0.02
same_model "$work/federation_rate" "$work/family_rates"
trained one_rate --set federation.families.1.lr=0.02
differs one_rate
edgefuse diff "$work/plain/parts/family_00000.h5" "$work/one_rate/parts/family_00000.h5"
verdict 'the start of the other family is as before' "$(grep '^/model' "$work/out" | head -n 3)"

# ---- together ----------------------------------------------------------------------------------------------------

all=("${rounds[@]}" "${weigh[@]}" "${written[@]}" --set fusion.generated_ce=false --set federation.wire=bfloat16)
trained together "${all[@]}"
ranks_agree together "${all[@]}"
stops_agree together "${all[@]}"
equal 'three rounds of half the weights, and the losses' $((3 * ((plain - 128) / 2 + 16) + 128)) \
  "$(total "$work/together" up_bytes)"
present "$work/together/parts/generated_00005.h5"

# ---- numbers that go wrong -----------------------------------------------------------------------------------------

# Every step multiplies the weights by -9: their numbers end in the second round, and the models of the first come
# again.
grown=$work/grown
edgefuse train "$deck" --out "$grown" --set federation.rounds=2 --set federation.steps=4 --set federation.lr=2 \
  --set federation.weight_decay=5 --set federation.min_lr=1 --set federation.clip=0 \
  --set federation.pretrain_steps=0 --set global.pretrain_steps=0
ends 0
verdict 'the warning' "$(grep -q 'not finite.*device 0 uploads its last model again' "$work/err" || tail -n 5 "$work/err")"
edgefuse diff "$grown/parts/device_00000.h5" "$grown/parts/device_00004.h5"
verdict 'the model of the first round in the second' "$(grep '^/model' "$work/out" | head -n 3)"
equal 'closed formula' "$(total "$grown" formula_bytes)" "$(total "$grown" up_bytes)"
finish
