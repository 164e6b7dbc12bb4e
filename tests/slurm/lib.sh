# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # variables of the two files that share them
# Tests of the batch scripts under a real Slurm (cluster.sh), with the checks of tests/faults/lib.sh. A script
# sources this file, calls `cluster`, submits from $work, where `jobs` is the tree's, and ends with `finish`.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../faults/lib.sh"

lab=$work/cluster
tools=$source_tree/tests/slurm
name=slurm/$(basename "$0" .sh)
if ! reason=$("$tools/cluster.sh" can); then
  echo "[SKIP] $name: no Slurm here: $reason"
  exit 77
fi

# Whatever ends this script, also a kill, the cluster and the folder go.
end_cluster() { "$tools/cluster.sh" down "$lab" && clean_up; }
export -f end_cluster clean_up
trap end_cluster EXIT
trap 'exit 1' INT TERM HUP
tools=$tools lab=$lab work=$work background='' mounted='' setsid bash -c '
  while [ -d "/proc/$1" ]; do sleep 1; done
  end_cluster' guard $$ </dev/null >/dev/null 2>&1 &
disown

# A Slurm job is no mpirun on a laptop: it gets what its script sets.
unset OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_btl OMPI_MCA_pml OPENBLAS_NUM_THREADS OMP_NUM_THREADS
unset "${!SLURM_@}"
export OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
export EDGEFUSE_PROGRAM=$program

# cluster [NODES]: starts it.
cluster() {
  if ! "$tools/cluster.sh" up "$lab" "${1:-2}" >"$work/up" 2>&1; then
    cat "$work/up"
    exit 1
  fi
  export SLURM_CONF=$lab/slurm.conf EDGEFUSE_CLUSTER=$lab
  ln -s "$source_tree/jobs" "$work/jobs"
  cd "$work" || exit 1
}

# ---- jobs ----------------------------------------------------------------------------------------------------

# submit ARGUMENT...: sbatch; the number of the job in $job.
submit() {
  last="sbatch $*"
  job=$(sbatch --parsable "$@" 2>"$work/err")
  verdict 'a job' "${job:+}$([ -n "$job" ] || cat "$work/err")"
}

field() { scontrol show job -o "$1" 2>/dev/null | grep -o " $2=[^ ]*" | head -n 1 | cut -d = -f 2-; }
restarts() { field "$1" Restarts; }

# job_over JOB: waits until it will not run any more; its state in $state, its exit code in $code.
job_over() {
  local patience=600
  while [ $((patience -= 1)) -gt 0 ]; do
    state=$(field "$1" JobState)
    case $state in
      COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL)
        # While it completes its last processes run, and its code is not known yet.
        [ -n "$(squeue -h -j "$1" -t COMPLETING 2>/dev/null)" ] || break
        ;;
    esac
    sleep 0.3
  done
  code=$(field "$1" ExitCode | cut -d : -f 1)
}

# over JOB STATE [CODE]: waits for its end; it ended so. The log is shown if not.
over() {
  last="job $1"
  job_over "$1"
  local wanted="$2, code ${3:-$code}" got="$state, code $code"
  [ "$got" = "$wanted" ] && got='' || got="$got, reason $(field "$1" Reason); log: $(tail -n 15 "$work"/*-"$1".log 2>/dev/null)"
  verdict "$wanted" "$got"
}

# logged JOB PATTERN: a line of the job's log.
logged() {
  last="log of job $1"
  verdict "a line '$2'" "$(grep -Eq -- "$2" "$work"/*-"$1".log || cat "$work"/*-"$1".log)"
}

# until_there PATTERN: waits, two minutes at most, for a file; at_work FOLDER: until the first models of a run
# are made.
until_there() {
  local patience=1200
  while ! compgen -G "$1" >/dev/null && [ $((patience -= 1)) -gt 0 ]; do sleep 0.1; done
}
at_work() { until_there "$1/parts/family_*1.h5"; }

# end_slot JOB: what Slurm does shortly before the time limit.
end_slot() { scancel --batch --signal=USR1 "$1"; }

# ---- programs ------------------------------------------------------------------------------------------------

# slow SHARE: the program, held up in local training so that it runs only so many hundredths of the time: tests of
# stops need runs that take long, not runs that compute much. All ranks run at the same moments.
slow() {
  cat >"$work/slow" <<SLOW
#!/bin/bash
trap 'kill -USR1 "\$child" 2>/dev/null' USR1
trap 'kill -TERM "\$child" 2>/dev/null' TERM
mark=\$(mktemp -p "$work")
"$program" "\$@" &
child=\$!
while kill -0 "\$child" 2>/dev/null; do
  if [ ! "\$4/metrics.jsonl" -nt "\$mark" ] || compgen -G "\$4/parts/proxy_*" >/dev/null; then
    sleep 0.1
    continue
  fi
  kill -STOP "\$child" 2>/dev/null
  now=\${EPOCHREALTIME/[.,]/}
  left=\$((5000000 / $1 - now % (5000000 / $1)))
  sleep "\$((left / 1000000)).\$(printf '%06d' \$((left % 1000000)))"
  kill -CONT "\$child" 2>/dev/null
  sleep 0.05
done
wait "\$child"
SLOW
  chmod +x "$work/slow"
}

# local_steps N: the deck with so many local steps of each device, none of which ends early.
local_steps() {
  sed -i "/^federation/,/^fusion/{s/^  steps: .*/  steps: $1\n  patience: 100000/;s/^  eval_every: .*/  eval_every: 50/}" \
    "$deck"
}
