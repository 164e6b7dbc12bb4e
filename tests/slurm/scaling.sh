#!/bin/bash
# The tables of strong and weak scaling: one row for each number of ranks, whose figures are those of the runs.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 1

submit -n 2 -t 5 jobs/scaling_strong.sbatch "$deck" "$work/strong"
strong=$job
submit -n 2 -t 5 jobs/scaling_weak.sbatch "$deck" "$work/weak" 2 --set control.public_only=false
weak=$job

# column FILE NUMBER: a column of a table, without its head.
column() { awk -v n="$2" 'NR > 1 { printf "%s%s", (NR > 2 ? " " : ""), $n }' "$work/$1/scaling.txt"; }
# is EXPECTED GOT
is() { verdict "$1" "$([ "$1" = "$2" ] || echo "$2")"; }

over "$strong" COMPLETED 0
last="table of strong scaling"
is '1 2' "$(column strong 1)"
is '4 4' "$(column strong 2)"
is 'same same' "$(column strong 10)"
is 1.00 "$(column strong 8 | cut -d ' ' -f 1)"
planned=$(sed -n 's/.*was done \([0-9.]*\) s.*/\1/p' "$work/strong/ranks_2/report.md")
verdict 'a planned time' "$([ -n "$planned" ] || tail -n 5 "$work/strong/ranks_2/report.md")"
is "$planned" "$(column strong 4 | cut -d ' ' -f 2 | sed 's/0$//')"
is "$(sed 's/.*"name": "\([^"]*\)".*/\1/' <(grep '"event": "phase"' "$work/strong/ranks_2/metrics.jsonl") | sort -u)" \
  "$(cut -f 1 "$work/strong/phases.tsv" | sort -u)"
is "$(($(wc -l <"$work/strong/phases.tsv") + 1))" "$(wc -l <"$work/strong/phases.txt")"

over "$weak" COMPLETED 0
last="table of weak scaling"
is '1 2' "$(column weak 1)"
is '2 4' "$(column weak 2)"
tokens=$(grep -o '"tokens": [0-9]*' "$work/weak/ranks_2/metrics.jsonl" | awk '{ sum += $2 } END { print sum }')
is "$tokens" "$(column weak 6 | cut -d ' ' -f 2)"
finish
