#!/bin/bash
# The chain prepare -> train -> evaluate -> market: it survives a requeue of the training, and a link that fails
# takes those behind it along.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 1

# chain OUT DECK: submits the chain by a job of its own; the numbers of its four jobs in $links.
chain() {
  EDGEFUSE_TRAIN_OPTIONS='-n 2' EDGEFUSE_LINK_OPTIONS='-t 5' \
    submit jobs/case_study.sbatch "$2" "$1" "$source_tree/inputs/corpus/seafaring.jsonl"
  over "$job" COMPLETED 0
  read -r -a links < <(sed -n 's/^\([0-9]*\) .*sbatch$/\1/p' "$work/edgefuse-case-$job.log" | tr '\n' ' ')
  verdict 'four jobs' "$([ "${#links[@]}" = 4 ] || cat "$work/edgefuse-case-$job.log")"
}

local_steps 300
cat >>"$deck" <<'DECK'
market:
  capacity_flops: 4.0e+8
  unit_flops: 1.0e+6
  device_flops_least: 1.0e+6
  device_flops_most: 2.0e+7
  slots: 2
  sweeps: []
DECK
slow 5
EDGEFUSE_PROGRAM=$work/slow chain "$work/good" "$deck"
good=("${links[@]}")
at_work "$work/good"
end_slot "${good[1]}"
sed 's/gardening.jsonl/none.jsonl/' "$deck" >"$work/no_text.yaml"
chain "$work/bad" "$work/no_text.yaml"

over "${links[0]}" FAILED 4
for job in "${links[@]:1}"; do over "$job" CANCELLED 0; done
absent "$work/bad/report.json" "$work/bad/market"

for job in "${good[@]}"; do over "$job" COMPLETED 0; done
verdict 'the training was requeued' "$([ "$(restarts "${good[1]}")" = 1 ] || restarts "${good[1]}")"
present "$work/good/report.json" "$work/good/evaluation.json" "$work/good/market/market.h5"
verdict 'a perplexity' "$(grep -q perplexity "$work/good/evaluation.json" || cat "$work/good/evaluation.json")"
finish
