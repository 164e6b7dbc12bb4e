# shellcheck shell=bash
# Tests of whole commands. A script sources this file, makes what it needs in $work (removed at its end), calls the
# checks below and ends with `finish`: 0 if all passed, 1 if not, 77 if nothing could be checked here. A check that
# fails prints the command, what was expected and what came.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_tree=${EDGEFUSE_SOURCE:-$(cd "$here/../.." && pwd)}
program=${EDGEFUSE_BINARY:?names the program to test}
# shellcheck source=scripts/mpi_env.sh
. "$source_tree/scripts/mpi_env.sh"
unset EDGEFUSE_DATA

work=$(mktemp -d "${TMPDIR:-/tmp}/edgefuse-fault-XXXXXX")
passed=0 failed=0 skipped=0
background='' # process group of a run in the background
mounted=''    # file system that this script mounted

clean_up() {
  if [ -n "$background" ]; then kill -KILL -- "-$background" 2>/dev/null; fi
  if [ -n "$mounted" ]; then umount "$mounted"; fi
  rm -rf "$work"
}
trap clean_up EXIT

finish() {
  echo "passed $passed, failed $failed, skipped $skipped"
  [ "$failed" -eq 0 ] || exit 1
  [ "$passed" -gt 0 ] || exit 77
  exit 0
}

skip() {
  skipped=$((skipped + 1))
  echo "skip: $*"
}

# verdict EXPECTED RESULT: counts one check; RESULT is empty if it passed, else what came instead.
verdict() {
  if [ -z "$2" ]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  printf 'FAILED: %s\n  expected: %s\n  got:      %s\n' "$last" "$1" "$2"
}

# ---- commands ------------------------------------------------------------------------------------------------

# run COMMAND...: leaves the exit code in $code, the output in $work/out and $work/err, the command in $last.
run() {
  last=$*
  timeout -k 5 120 "$@" >"$work/out" 2>"$work/err"
  code=$?
}
edgefuse() { run "$program" "$@"; }
edgefuse_on() { # RANKS ARGUMENT...
  local ranks=$1
  shift
  run mpirun -n "$ranks" "$program" "$@"
}

# start RANKS ARGUMENT...: in the background, as leader of its own process group; 0 ranks: without mpirun.
start() {
  local ranks=$1 launcher=()
  shift
  [ "$ranks" -eq 0 ] || launcher=(mpirun -n "$ranks")
  last="${launcher[*]} $program $*"
  setsid "${launcher[@]}" "$program" "$@" >"$work/out" 2>"$work/err" &
  background=$!
}
running() { kill -0 "$background" 2>/dev/null; }

# Waits for the run in the background; its exit code in $code. The shell's own words about its death are dropped.
collect() {
  {
    local patience=1200
    while running && [ $((patience -= 1)) -gt 0 ]; do sleep 0.1; done
    [ "$patience" -gt 0 ] || kill -KILL -- "-$background"
    wait "$background"
    code=$?
  } 2>/dev/null
  background=''
}

# Waits until a file holds a pattern in a line after the first LINES, or the run in the background is over.
wait_for() { # FILE LINES PATTERN
  while running && ! tail -n "+$(($2 + 1))" "$1" 2>/dev/null | grep -q -- "$3"; do sleep 0.02; done
}

# ---- checks --------------------------------------------------------------------------------------------------

errors() { grep -c '^edgefuse: ' "$work/err"; }

# ends CODE [PATTERN]: the last command ended with CODE; an error is one line "edgefuse: ..." that matches PATTERN.
ends() {
  local wanted="code $1" got=''
  if [ "$code" -ne "$1" ]; then got="code $code"; fi
  if [ $# -gt 1 ]; then
    wanted="$wanted, one line 'edgefuse: ...$2...'"
    grep -Eq -- "^edgefuse: .*$2" "$work/err" || got="${got:-code $code}, another message"
    [ "$(errors)" -eq 1 ] || got="${got:-code $code}, $(errors) lines 'edgefuse: '"
  fi
  [ -z "$got" ] || got="$got; standard error: $(tail -n 5 "$work/err")"
  verdict "$wanted" "$got"
}

# swept FOLDER: no half-written file is in it.
swept() {
  # shellcheck disable=SC2046
  absent $(find "$1" -name '*.tmp')
}

# refused CODE PATTERN ARGUMENT...: runs the command; its error is the only line on standard error.
refused() {
  local wanted=$1 pattern=$2
  shift 2
  edgefuse "$@"
  ends "$wanted" "$pattern"
  [ "$code" -ne "$wanted" ] || [ "$(wc -l <"$work/err")" -eq 1 ] ||
    verdict 'nothing else on standard error' "$(cat "$work/err")"
}

# absent PATH...: none of these is there.
absent() {
  local path found=''
  for path in "$@"; do [ ! -e "$path" ] || found="$found $path"; done
  verdict 'nothing left behind' "$found"
}

present() {
  local path missing=''
  for path in "$@"; do [ -e "$path" ] || missing="$missing $path"; done
  verdict 'these files' "${missing:+missing:$missing}"
}

# Files below a folder that a user would take for results: all but what bears a temporary name.
results() { find "$1" -type f ! -name '*.tmp' 2>/dev/null | sort; }

# empty FOLDER: it holds no file under a final name.
empty() { verdict "no file under a final name in $1" "$(results "$1")"; }

# verified FILE...: each passes `inspect --verify`.
verified() {
  [ $# -eq 0 ] || edgefuse inspect "$@" --verify
  [ $# -eq 0 ] || ends 0
}

newest() { find "$1/checkpoint" -name 'step_*.h5' | sort | tail -n 1; }

# same FOLDER FOLDER: the newest checkpoints of two runs have equal bits.
same() {
  edgefuse diff "$(newest "$1")" "$(newest "$2")"
  ends 0
}

# ---- inputs --------------------------------------------------------------------------------------------------

# tiny FILE: a deck of all phases that runs in about a second on a free core.
tiny() {
  cat >"$1" <<DECK
run:
  seed: 1
text:
  folder: $source_tree/inputs/corpus
  files: [gardening.jsonl, seafaring.jsonl]
  vocabulary: 320
  public_share: 0.4
  public_holdout: 0.2
  validation_share: 0.1
federation:
  devices: 4
  context: 16
  batch: 2
  pretrain_steps: 10
  steps: 10
  warmup: 2
  eval_every: 5
  families:
    - {family: gpt2, width: 32, layers: 2, heads: 4}
    - {family: llama, width: 32, layers: 2, heads: 4, kv_heads: 2}
fusion:
  clusters: 2
  restarts: 5
  steps: 10
  batch: 2
  warmup: 2
  vaa_heads: 2
global:
  width: 32
  layers: 2
  heads: 4
  experts: 4
  top_k: 2
  expert_width: 16
  shared_width: 32
  context: 16
  pretrain_steps: 10
tune:
  steps: 10
  batch: 4
  micro_batch: 2
  warmup: 2
exits: {after: [1]}
eval:
  batch: 4
  windows: 4
  look_every: 5
DECK
}

deck=$work/tiny.yaml
tiny "$deck"
