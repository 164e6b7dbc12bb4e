#!/bin/bash
# Job arrays of seeds and of decks: each task has a run folder of its own and goes through the queue by itself.
# shellcheck source=tests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
cluster 1

local_steps 200
edgefuse train "$deck" --out "$work/reference" -q --set run.seed=2
ends 0
slow 5 # the launcher is told of a signal three seconds behind its start at the earliest: the run must outlast them
export EDGEFUSE_PROGRAM=$work/slow
submit --array=1-2 -n 1 -t 5 jobs/array.sbatch seeds "$deck" "$work/seeds"
seeds=$job
at_work "$work/seeds/seed_2"
end_slot "${seeds}_2"

export EDGEFUSE_PROGRAM=$program
cp "$deck" "$work/other.yaml"
submit --array=0-2 -n 1 -t 5 jobs/array.sbatch decks "$deck $work/other.yaml" "$work/decks"
over "${job}_0" COMPLETED 0
over "${job}_1" COMPLETED 0
over "${job}_2" FAILED 2 # there is no third deck
same "$work/decks/tiny" "$work/decks/other"

over "${seeds}_1" COMPLETED 0
over "${seeds}_2" COMPLETED 0
verdict 'the second task was requeued alone' "$([ "$(restarts "${seeds}_1") $(restarts "${seeds}_2")" = '0 1' ] ||
  echo "$(restarts "${seeds}_1") $(restarts "${seeds}_2")")"
same "$work/reference" "$work/seeds/seed_2"
edgefuse diff "$(newest "$work/seeds/seed_1")" "$(newest "$work/seeds/seed_2")"
ends 1
finish
