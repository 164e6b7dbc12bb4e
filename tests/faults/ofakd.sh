#!/bin/bash
# The method ofakd is deepfusion with three keys of the deck: the same bits, on any number of ranks and after a stop, and
# the same bytes.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

total() { sed -n "/^  \"communication\"/,/^  }/s/^    \"$2\": \([0-9]*\),*$/\1/p" "$1/report.json"; }
equal() { verdict "$1: $2" "$([ "$2" = "$3" ] || echo "${3:-nothing}")"; } # WHAT WANTED FOUND
shows() { verdict "$2 in $1" "$(grep -qx -- "  $2" "$1" || grep -- "  ${2%%:*}:" "$1" || echo nothing)"; }

one=$work/ofakd-1
for ranks in 1 2 3; do
  edgefuse_on "$ranks" train "$deck" --method ofakd --out "$work/ofakd-$ranks" -q --set fusion.features=hints \
    --set fusion.transfer=generated
  ends 0
  [ "$ranks" -eq 1 ] || same "$one" "$work/ofakd-$ranks"
done
shows "$one/deck.yaml" 'features: ofa'
shows "$one/deck.yaml" 'kl: 0'
shows "$one/deck.yaml" 'transfer: public'

# Only the name of the method tells it from deepfusion with the same keys.
edgefuse train "$deck" --out "$work/set" -q --set fusion.features=ofa --set tune.kl=0
ends 0
edgefuse diff "$(newest "$one")" "$(newest "$work/set")"
ends 1 'differ'
equal 'what differs' 'attribute method of /: ofakd | deepfusion' "$(grep -Ev '^(a|b): |^they differ' "$work/out")"

# The exponent counts.
edgefuse train "$deck" --method ofakd --out "$work/other" -q --set fusion.ofa_epsilon=1.5
ends 0
edgefuse diff "$one/parts/base_00000.h5" "$work/other/parts/base_00000.h5"
ends 1 'differ'
verdict 'other parameters' "$(grep -q '/model/' "$work/out" || cat "$work/out")"

equal 'closed formula' "$(total "$one" formula_bytes)" "$(total "$one" up_bytes)"
equal 'bytes of deepfusion' "$(total "$work/set" up_bytes)" "$(total "$one" up_bytes)"
equal 'bytes down' 0 "$(total "$one" down_bytes)"

# A base and all behind it made anew; another method does not go on with the folder.
kept=$work/kept.h5
cp "$(newest "$one")" "$kept"
refused 5 'made by method ofakd' train "$deck" --out "$one" --resume -q --set fusion.features=ofa --set tune.kl=0
rm "$one"/checkpoint/* "$one"/parts/base_00000.h5 "$one"/parts/merged_*.h5
edgefuse_on 2 train "$deck" --method ofakd --out "$one" -q --set fusion.features=hints --resume
ends 0
edgefuse diff "$kept" "$(newest "$one")"
ends 0

# Tuning that only does harm leaves the merged model as it was.
row() { sed -n "/\"name\": \"$2\"/,/log_perplexity/s/.*\"log_perplexity\": \([^,]*\).*/\1/p" "$1/report.json"; }
edgefuse train "$deck" --method ofakd --out "$work/harm" -q --set tune.lr=10 --set tune.warmup=0 --set 'exits.after=[]'
ends 0
equal 'tuned is merged' "$(row "$work/harm" merged)" "$(row "$work/harm" tuned)"
verdict 'a loss' "$(row "$work/harm" tuned | grep -Eqx '[0-9]+\.[0-9]+' || echo none)"

# What the method sets is checked like what a user sets.
refused 3 'fusion.stages \(3\) must be at most' train "$deck" --method ofakd --out "$work/deep" \
  --set fusion.features=none --set fusion.stages=3
absent "$work/deep"
finish
