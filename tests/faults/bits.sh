#!/bin/bash
# The same deck and seed give the same checkpoint, bit for bit, on 1, 2, 3 and 4 ranks; another seed does not.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# compared NAME RANKS... -- SETTING...: runs on these numbers of ranks, the first against each other.
compared() {
  local name=$1 first=$2 ranks counts=()
  shift
  while [ "$1" != -- ]; do
    counts+=("$1")
    shift
  done
  shift
  for ranks in "${counts[@]}"; do
    edgefuse_on "$ranks" train "$deck" --out "$work/$name-$ranks" -q "$@"
    ends 0
    [ "$ranks" -eq "$first" ] || same "$work/$name-$first" "$work/$name-$ranks"
  done
}

compared extended 1 2 3 4 -- --set fusion.recipe=extended
compared paper 1 4 -- --set fusion.recipe=paper --set global.family=deepseek_moe --set global.dense_first=1

edgefuse train "$deck" --out "$work/alone" -q --set fusion.recipe=extended
ends 0
same "$work/extended-1" "$work/alone"

edgefuse train "$deck" --out "$work/other" -q --set run.seed=2
ends 0
edgefuse diff "$(newest "$work/extended-1")" "$(newest "$work/other")"
ends 1 'differ'
finish
