#!/bin/bash
# doctor: each fault of machine or launch has its own line, ends with code 6 well under 30 s, and leaves no file.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

folder=$work/runs
mkdir "$folder"
preload=${EDGEFUSE_FAULT_MAKER:?names the library that makes faults}

# says RESULT NAME [PATTERN]: standard output has this line.
says() {
  grep -Eq -- "^$1 +$2  .*${3:-}" "$work/out" ||
    verdict "a line '$1  $2 ...${3:-}...'" "$(cat "$work/out")"
  verdict 'that line' ''
}

# in_time SECONDS: since $began.
in_time() {
  local took=$(($(date +%s) - began))
  verdict "an end within $1 s" "$([ "$took" -le "$1" ] || echo "$took s")"
}

clean() { verdict 'no file left' "$(find "$folder" -type f)"; }

# ---- nothing is wrong ----------------------------------------------------------------------------------------

edgefuse doctor --out "$folder"
ends 0
says ok launch '1 rank by no launcher'
says ok 'parallel HDF5' '1 rank wrote'
clean
edgefuse_on 2 doctor --out "$folder/new" --deck "$deck"
ends 0
says ok launch '2 ranks by mpirun'
says ok exchange 'every value right'
says ok memory 'by the plan'
says ok space 'by the plan'
says ok 'parallel HDF5' '2 ranks wrote'
clean
absent "$folder/new"
grep -h 'by the plan' "$work/out" | sed 's/.*: *//' >"$work/planned"
edgefuse_on 2 doctor --out "$folder/new" --deck "$deck" --method fedavg
ends 0
verdict 'the plan of another method' "$(diff "$work/planned" <(grep -h 'by the plan' "$work/out" | sed 's/.*: *//') >/dev/null &&
  cat "$work/planned")"
refused 2 'go with --deck' doctor --out "$folder" --method fedavg
refused 2 'no such method' doctor --out "$folder" --deck "$deck" --method fedaverage
edgefuse_on 3 doctor --out "$folder" --json
ends 0
verdict 'one JSON object' "$(/usr/bin/python3 -c 'import json, sys; json.loads(sys.stdin.read())["checks"][0]["name"]' <"$work/out" 2>&1)"

# ---- launch --------------------------------------------------------------------------------------------------

# As srun --mpi=none starts it: every process alone, the first of them speaks.
export SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0
edgefuse doctor --out "$folder"
ends 6 'checks failed: launch'
says fail launch 'srun started 4 processes.*srun --mpi=pmix'
verdict 'one line' "$([ "$(wc -l <"$work/out")" -eq 1 ] || cat "$work/out")"
export SLURM_PROCID=2
edgefuse doctor --out "$folder"
verdict 'code 6 without a word' "$([ "$code" -eq 6 ] || echo "code $code")$(cat "$work/out" "$work/err")"
unset SLURM_NTASKS SLURM_STEP_NUM_TASKS SLURM_PROCID

run env LD_PRELOAD="$preload" EDGEFUSE_BLAS_THREADS=64 mpirun -n 2 "$program" doctor --out "$folder"
ends 6 'checks failed: cores'
says fail cores '2 ranks x 64 BLAS threads.*OPENBLAS_NUM_THREADS=1'
run env OPENBLAS_NUM_THREADS=many mpirun -n 2 "$program" doctor --out "$folder"
ends 0
says warn 'BLAS threads' 'OPENBLAS_NUM_THREADS=many is no number'

# ---- ranks that do not find each other ------------------------------------------------------------------------

began=$(date +%s)
run env LD_PRELOAD="$preload" EDGEFUSE_FAULT=1:start:1:hang mpirun -n 2 "$program" doctor --out "$folder"
ends 6 'checks failed: start of MPI'
says fail 'start of MPI' 'MPI has not started after 20 s.*OMPI_MCA_btl_tcp_if_include'
in_time 29

# ---- a file system that hangs --------------------------------------------------------------------------------

for what in 'collective 0' 'collective 1' 'fsync 0'; do
  read -r call rank <<<"$what"
  began=$(date +%s)
  run env LD_PRELOAD="$preload" EDGEFUSE_FAULT="$rank:$call:1:hang" \
    mpirun -n 2 "$program" doctor --out "$folder" --timeout 3
  ends 6 'checks failed: parallel HDF5'
  says fail 'parallel HDF5' "$folder: not done by all ranks after 3 s.*OMPI_MCA_io"
  in_time 20
  clean
done
run env LD_PRELOAD="$preload" EDGEFUSE_FAULT=1:collective:1:hang \
  mpirun -n 2 "$program" doctor --out "$folder" --timeout 3 --json
ends 6 'checks failed: parallel HDF5'
verdict 'one JSON object' "$(/usr/bin/python3 -c 'import json, sys; assert json.loads(sys.stdin.read())["failed"] == 1' <"$work/out" 2>&1)"

# Killed meanwhile.
setsid env LD_PRELOAD="$preload" EDGEFUSE_FAULT=0:collective:1:hang OMPI_COMM_WORLD_RANK=0 \
  "$program" doctor --out "$folder" >"$work/out" 2>"$work/err" &
background=$!
patience=200
while [ -z "$(find "$folder" -name '*.h5.tmp')" ] && [ $((patience -= 1)) -gt 0 ]; do sleep 0.05; done
kill -TERM "$background"
collect
verdict 'ended by SIGTERM' "$([ "$code" -eq 143 ] || echo "code $code")"
clean

# ---- folders and disks ---------------------------------------------------------------------------------------

run bash -c "ulimit -f 20000; exec '$program' doctor --out '$folder'"
ends 6 'checks failed: space'
says fail space 'cannot be written: File too large'
says warn 'parallel HDF5' 'not tried'
clean

mkdir "$work/disk"
if mount -t tmpfs -o size=8m edgefuse-fault "$work/disk" 2>/dev/null; then
  mounted=$work/disk
  edgefuse_on 2 doctor --out "$work/disk"
  ends 6 'checks failed: space'
  says fail space '8 MB free, 100 MB needed'
  mount -o remount,ro "$work/disk"
  edgefuse_on 2 doctor --out "$work/disk"
  ends 6 'checks failed: folder'
  says fail folder 'no file can be made: Read-only file system'
  umount "$work/disk" && mounted=''
else
  skip 'full and read-only disk: no tmpfs can be mounted here'
fi
finish
