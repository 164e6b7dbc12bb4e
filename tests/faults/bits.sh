#!/bin/bash
# The same deck and seed give the same checkpoint, bit for bit, on 1, 2, 3 and 4 ranks; another seed does not.
. "$(dirname "$0")/lib.sh"

for recipe in extended paper; do
  settings=(-q --set "fusion.recipe=$recipe")
  [ "$recipe" = extended ] || settings+=(--set global.family=deepseek_moe --set global.dense_first=1)
  for ranks in 1 2 3 4; do
    edgefuse_on "$ranks" train "$deck" --out "$work/$recipe-$ranks" "${settings[@]}"
    ends 0
    [ "$ranks" -eq 1 ] || same "$work/$recipe-1" "$work/$recipe-$ranks"
  done
done

edgefuse train "$deck" --out "$work/alone" -q --set fusion.recipe=extended
ends 0
same "$work/extended-1" "$work/alone"

edgefuse train "$deck" --out "$work/other" -q --set run.seed=2
ends 0
edgefuse diff "$(newest "$work/extended-1")" "$(newest "$work/other")"
ends 1 'differ'
finish
