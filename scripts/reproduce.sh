#!/usr/bin/env bash
# Runs every method on the cases of the paper and writes the tables and pictures of RESULTS.md.
#   scripts/reproduce.sh [--quick|--full] [--out DIR] [--cases LIST] [--devices LIST] [--methods LIST] [--seeds LIST]
#                        [--set KEY=VALUE]... [--tasks-devices LIST] [--decks DIR] [--dry-run]
# LIST has commas. --quick (default): 16 devices, one seed, fewer steps. --full: 16, 32, 64 and 128 devices, three
# seeds, the steps of the decks. The other options replace a part of either; --set comes last and so wins.
# A case is a deck DIR/NAME_*.yaml (default DIR: inputs). One folder a run, OUT/CASE/N16/seed1/METHOD; a finished run is
# skipped, one that was interrupted goes on. What no device takes part in is trained once, whatever N is. Ctrl-C saves
# and ends with code 75, a second one ends at once; the same command goes on. A run that fails is reported and the
# others go on: code 1 at the end.
# Tasks beside the validation text (X.mcq.valid.jsonl, X.qa.valid.jsonl beside X.valid.jsonl) are scored for the numbers
# of devices of --tasks-devices (default: the least).
# EDGEFUSE_DATA: folder of the text; EDGEFUSE_RANKS (default: the cores); EDGEFUSE_BINARY (default: it is built).
set -uo pipefail
cd "$(dirname "$0")/.." || exit

readonly wrong_command=2 wrong_input=4 machine=6 stopped=75
# deepfusion is the deck's; -public without text that the proxies write, -paper by the published rules.
readonly known='deepfusion deepfusion-public deepfusion-paper public_only central fedavg fedjets fedkmt ofakd'
readonly quick_settings=(federation.pretrain_steps=200 federation.steps=100 federation.eval_every=25 fusion.steps=10
  global.pretrain_steps=200 tune.steps=200 rivals.steps=20 rivals.device_steps=40 rivals.central_steps=0)

die() { # CODE MESSAGE
  echo "reproduce: $2" >&2
  exit "$1"
}

# ---- command line ----------------------------------------------------------------------------------------------

preset=quick out=runs/reproduce decks=inputs dry_run=''
cases='' devices='' methods='' seeds='' tasks_devices='' settings=()
arguments=$*

while [ $# -gt 0 ]; do
  case $1 in
    --quick | --full) preset=${1#--} ;;
    --dry-run) dry_run=yes ;;
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' scripts/reproduce.sh && exit 0 ;;
    --out | --cases | --devices | --methods | --seeds | --set | --tasks-devices | --decks)
      [ $# -gt 1 ] || die $wrong_command "$1 wants a value; --help lists the options"
      case $1 in
        --out) out=${2%/} ;;
        --cases) cases=${2//,/ } ;;
        --devices) devices=${2//,/ } ;;
        --methods) methods=${2//,/ } ;;
        --seeds) seeds=${2//,/ } ;;
        --set) settings+=("$2") ;;
        --tasks-devices) tasks_devices=${2//,/ } ;;
        --decks) decks=${2%/} ;;
      esac
      shift
      ;;
    *) die $wrong_command "$1: unknown option; --help lists them" ;;
  esac
  shift
done

if [ "$preset" = quick ]; then
  : "${devices:=16}" "${seeds:=1}"
  settings=("${quick_settings[@]}" ${settings[@]+"${settings[@]}"})
else
  : "${devices:=16 32 64 128}" "${seeds:=1 2 3}"
fi

for number in $devices $seeds $tasks_devices; do
  [[ $number =~ ^[0-9]+$ ]] || die $wrong_command "$number: not a whole number"
done
for setting in ${settings[@]+"${settings[@]}"}; do
  [[ $setting == *=* ]] || die $wrong_command "--set $setting: wants KEY=VALUE"
done
: "${tasks_devices:=$(tr ' ' '\n' <<<"$devices" | sort -n | head -n 1)}"

# ---- cases and their text ----------------------------------------------------------------------------------------

all_cases=$(find "$decks" -maxdepth 1 -name 'case*_*.yaml' -printf '%f\n' 2>/dev/null | sed 's/_.*//' | sort -u |
  tr '\n' ' ')
[ -n "$all_cases" ] || die $wrong_input "$decks: no deck case*_*.yaml"
: "${cases:=$all_cases}"
for name in $cases; do
  [[ " $all_cases" == *" $name "* ]] || die $wrong_command "$name: no such case; $decks has: $all_cases"
done

deck_of() { find "$decks" -maxdepth 1 -name "$1_*.yaml" | sort | head -n 1; }

# setting_of DECK SECTION KEY: its value, a list without its brackets; --set comes before the deck.
setting_of() {
  local setting value=''
  value=$(sed -n "/^$2:/,/^[^ ]*:/s/^  $3: *\([^#]*\).*/\1/p" "$1" | head -n 1)
  for setting in ${settings[@]+"${settings[@]}"}; do
    [[ $setting != "$2.$3="* ]] || value=${setting#*=}
  done
  tr -d '[]"' <<<"$value" | tr ',' ' '
}

# path_of DECK FILE: where the program looks for a text.
path_of() {
  local folder
  folder=$(setting_of "$1" text folder | tr -d ' ')
  folder=${folder:-${EDGEFUSE_DATA:-$(dirname "$1")}}
  case $2 in
    /*) echo "$2" ;;
    *) if [ -e "$folder/$2" ]; then echo "$folder/$2"; else echo "$(dirname "$1")/$2"; fi ;;
  esac
}

for name in $cases; do
  deck=$(deck_of "$name")
  for file in $(setting_of "$deck" text files) $(setting_of "$deck" text validation_files); do
    [ -r "$(path_of "$deck" "$file")" ] ||
      die $wrong_input "$name wants $file, not found: set EDGEFUSE_DATA to the folder of the text"
  done
done

# ---- program and methods -----------------------------------------------------------------------------------------

program=${EDGEFUSE_BINARY:-build/release/edgefuse}
if [ -z "${EDGEFUSE_BINARY:-}" ] && [ -z "$dry_run" ]; then
  { scripts/bootstrap.sh && cmake --preset release && cmake --build build/release -j "$(nproc)" --target edgefuse; } \
    >/dev/null || die $machine 'the program could not be built'
fi
[ -x "$program" ] || die $machine "$program: no program; build it (README.md), or name it by EDGEFUSE_BINARY"
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # which else counts the threads of BLAS
ranks=${EDGEFUSE_RANKS:-$cores}
# shellcheck source=scripts/mpi_env.sh
. scripts/mpi_env.sh

# The program lists its methods when it is asked for one that it does not have.
# shellcheck disable=SC2086
set -- $cases
offered=$("$program" train "$(deck_of "$1")" --method '?' --dry-run 2>&1 | sed -n 's/.*edgefuse knows: //p' | tr -d ',')
[ -n "$offered" ] || die $machine "$program: does not list its methods"
is_offered() { [[ " $offered " == *" ${1%-*} "* ]]; }

all_methods=$known
for method in $offered; do
  [[ " $known " == *" $method "* ]] || all_methods="$all_methods $method"
done
for method in $methods; do
  [[ " $all_methods " == *" $method "* ]] || die $wrong_command "$method: no such method; there are: $all_methods"
done
chosen='' absent=''
for method in ${methods:-$all_methods}; do
  if is_offered "$method"; then chosen="$chosen $method"; else absent="$absent $method"; fi
done
[ -z "$absent" ] || echo "not run, for the program does not have them:$absent"
[ -n "$chosen" ] || die $wrong_command 'none of these methods is in the program'

# ---- one run -----------------------------------------------------------------------------------------------------

# Keys of the deck's section `rivals` that a method reads, as a pattern: tuning one rival leaves the others' runs as they
# are.
rival_keys() { # METHOD
  case $1 in
    fedavg) echo 'rounds|steps|lr|server_steps|final_steps' ;;
    fedjets) echo 'rounds|steps|lr|server_steps|final_steps|experts' ;;
    fedkmt) echo 'rounds|final_steps|kl|top_k|device_steps' ;;
    central) echo central_steps ;;
    deepfusion* | ofakd | public_only) echo none ;;
    *) echo '[a-z_]+' ;;
  esac
}

# What a method does not read of the rest of the deck: keys, as a pattern, and a section.
unread() { # METHOD
  case $1 in
    central | public_only) echo 'epochs|transfer|generated_[a-z]+' ensemble ;;
    fedavg | fedjets | fedkmt | ofakd) echo 'transfer|generated_[a-z]+' ensemble ;;
    *) echo none none ;;
  esac
}

# The deck without comments and without what only other methods read.
deck_as_read() { # DECK METHOD
  sed 's/[[:space:]]*#.*//; /^[[:space:]]*$/d' "$1" |
    awk -v keys="^  ($(rival_keys "$2")):" -v unread="$(unread "$2")" '
      BEGIN { split(unread, what, " "); others = "^  (" what[1] "):" }
      /^[^ ]/ { rivals = /^rivals:/; skip = $0 ~ "^" what[2] ":" }
      !skip && (rivals ? $0 ~ keys : $0 !~ others)'
}

# True for what gives the same bits for every number of devices: training on text in one place, unless its steps follow
# those of the devices.
without_devices() { # DECK METHOD
  case $2 in
    public_only) ;;
    central) [[ $(setting_of "$1" rivals central_steps) == *[1-9]* ]] ;;
    *) false ;;
  esac
}

# What a run is, one setting a line: kept in its folder, so that a folder is gone on with by the same run only. The
# deck is known by what the method reads of it. The control without devices is a method of its own here, so the others
# do not train it again.
describe() { # DECK N SEED METHOD
  local setting
  echo "deck $(basename "$1") $(deck_as_read "$1" "$4" | sha256sum | cut -c 1-32)"
  echo "method ${4%-*}"
  for setting in ${settings[@]+"${settings[@]}"}; do echo "set $setting"; done
  [ "$4" = public_only ] || echo 'set control.public_only=false'
  [[ $4 != *-paper ]] || echo 'set fusion.recipe=paper'
  [[ $4 != *-* ]] || echo 'set fusion.transfer=public'
  without_devices "$1" "$4" || echo "set federation.devices=$2"
  echo "set run.seed=$3"
}

# make_command DECK N SEED METHOD FOLDER: into the array `command`.
make_command() {
  local word rest
  command=("$program" train "$1" --out "$5" -q)
  [ "$ranks" = 1 ] || command=(mpirun -n "$ranks" "${command[@]}")
  while read -r word rest; do
    case $word in
      method) command+=(--method "$rest") ;;
      set) command+=(--set "$rest") ;;
    esac
  done < <(describe "$1" "$2" "$3" "$4")
  [ ! -e "$5/deck.yaml" ] || command+=(--resume)
}

state_of() { # DECK N SEED METHOD FOLDER
  if [ ! -e "$5/settings.txt" ]; then
    if [ -e "$5/deck.yaml" ]; then echo other; else echo new; fi
  elif ! cmp -s "$5/settings.txt" <(describe "$1" "$2" "$3" "$4"); then
    echo other
  elif [ -e "$5/report.json" ]; then
    echo finished
  else
    echo interrupted
  fi
}

# share FROM TO PATTERN...: files that TO does not have, as links; what is written anew replaces a link, not the file.
share() {
  local from=$1 to=$2 pattern file
  shift 2
  for pattern in "$@"; do
    for file in "$from"/$pattern; do
      if [ ! -e "$file" ] || [ -e "$to/${file##*/}" ] || [[ $file == *.partial.h5 ]]; then continue; fi
      mkdir -p "$to"
      ln "$file" "$to/${file##*/}" 2>/dev/null || cp "$file" "$to/${file##*/}"
    done
  done
}

# What other runs have computed already: text, common starts and server of the seed; devices where there are as many.
# The program checks what they were made from and computes anew what does not fit.
borrow() { # CASE N SEED FOLDER
  local donor
  for donor in "$out/$1/N$2/seed$3"/*/ "$out/$1"/N*/"seed$3"/*/; do
    if [ -e "$donor/tokens/settings.yaml" ] && [ ! -e "$4/tokens/settings.yaml" ]; then
      share "$donor/tokens" "$4/tokens" tokens.h5 settings.yaml
    fi
    [ -e "$donor/report.json" ] || continue
    share "$donor/parts" "$4/parts" 'family_*.h5' 'base_start_*.h5' 'server_*.h5'
    [[ $donor != "$out/$1/N$2/"* ]] || share "$donor/parts" "$4/parts" 'device_*.h5'
  done
}

# take_twin CASE SEED METHOD FOLDER: the same run, finished for another number of devices, as links; false if there is none.
take_twin() {
  local twin copy=$out/.twin
  for twin in "$out/$1"/N*/"seed$2/$3"; do
    if [ ! -e "$twin/report.json" ] || ! cmp -s "$twin/settings.txt" "$4/settings.txt"; then continue; fi
    rm -rf "$copy"
    cp -al "$twin" "$copy" 2>/dev/null || { rm -rf "$copy" && cp -a "$twin" "$copy"; } ||
      die $machine "$copy: cannot be made"
    rm -rf "$4" && mv "$copy" "$4"
    twin=${twin#"$out/$1/N"}
    printf '%.4f nat/token, as with N=%s\n' "$(score_of "$4")" "${twin%%/*}"
    return 0
  done
  return 1
}

child='' stopping=0 folder=''
# shellcheck disable=SC2317 # called by the trap
stop() {
  stopping=$((stopping + 1))
  if [ -z "$child" ]; then exit $stopped; fi
  if [ $stopping = 1 ]; then
    : >"$folder/stop"
    echo 'reproduce: the run saves its state and ends; once more ends it at once' >&2
  else
    kill -TERM -- "-$child" 2>/dev/null
  fi
}

# run_command OUTPUT ERRORS COMMAND...: in a process group of its own, so that Ctrl-C reaches this script alone and the
# run is asked to save first. Its output goes to the files; what this script says meanwhile does not.
run_command() {
  : >"$1"
  : >"$2"
  setsid "${@:3}" >>"$1" 2>>"$2" </dev/null &
  child=$!
  code=129
  while [ $code -gt 128 ] && kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
  done
  child=''
}

score_of() { sed -n '/^  "quality"/,/^  }/{/"all"/,/}/s/.*"log_perplexity": \([^,]*\).*/\1/p}' "$1/report.json"; }
complaint() { { tail -n 1 "$1" && grep -a '^edgefuse: ' "$1"; } | tail -n 1; }

# train DECK CASE N SEED METHOD: the rest of its line; `code` is that of the program.
train() {
  local began=$SECONDS
  folder=$out/$2/N$3/seed$4/$5
  mkdir -p "$folder" || die $machine "$folder: cannot be made"
  describe "$1" "$3" "$4" "$5" >"$folder/settings.txt"
  if [ ! -e "$folder/deck.yaml" ]; then
    code=0
    if take_twin "$2" "$4" "$5" "$folder"; then return; fi
    borrow "$2" "$3" "$4" "$folder"
  fi
  make_command "$1" "$3" "$4" "$5" "$folder"
  run_command "$folder/run.log" "$folder/run.log" "${command[@]}"
  case $code in
    0) printf '%.4f nat/token, %d s\n' "$(score_of "$folder")" $((SECONDS - began)) ;;
    "$stopped") echo "stopped after $((SECONDS - began)) s" ;;
    *) echo "failed with code $code: $(complaint "$folder/run.log")" ;;
  esac
  rm -f "$folder/stop"
}

# ---- tasks -------------------------------------------------------------------------------------------------------

# score_tasks DECK FOLDER: the final model on the tasks that stand beside the validation text.
score_tasks() {
  local file task items result model
  model=$(find "$2/checkpoint" -name 'step_*.h5' 2>/dev/null | sort | tail -n 1)
  folder=$2
  for file in $(setting_of "$1" text validation_files); do
    for task in mcq qa; do
      items=$(path_of "$1" "${file%.valid.jsonl}.$task.valid.jsonl")
      result=$2/task_$task.json
      if [ ! -r "$items" ] || [ -e "$result" ]; then continue; fi
      run_command "$result.new" "$2/task.log" "$program" eval "$model" --task "$task" --text "$items" --json
      rm -f "$2/stop"
      if [ $code = 0 ]; then
        mv "$result.new" "$result"
      else
        rm -f "$result.new"
        return 1
      fi
    done
  done
}

# ---- all runs ----------------------------------------------------------------------------------------------------

# every FUNCTION: calls it with DECK CASE N SEED METHOD for each run, the runs that share work one behind the other.
every() {
  local name n seed method
  for seed in $seeds; do
    for name in $cases; do
      for n in $devices; do
        for method in $chosen; do "$1" "$(deck_of "$name")" "$name" "$n" "$seed" "$method"; done
      done
    done
  done
}

total=0 at=0 failed=0
count() { total=$((total + 1)); }

show() {
  local where=$out/$2/N$3/seed$4/$5
  at=$((at + 1))
  make_command "$1" "$3" "$4" "$5" "$where"
  echo "$at/$total $2 N=$3 seed=$4 $5 ($(state_of "$1" "$3" "$4" "$5" "$where")): ${command[*]}"
}

run() {
  local where=$out/$2/N$3/seed$4/$5
  at=$((at + 1))
  printf '%s ' "$at/$total $2 N=$3 seed=$4 $5"
  case $(state_of "$1" "$3" "$4" "$5" "$where") in
    finished)
      printf '%.4f nat/token, finished before\n' "$(score_of "$where")"
      code=0
      ;;
    other)
      echo "failed: $where holds a run of other settings; name another --out, or remove it"
      code=1
      ;;
    *) train "$@" ;;
  esac
  [ $code = 0 ] || failed=$((failed + 1))
  if [ $code = $stopped ] || [ $stopping -gt 0 ]; then exit $stopped; fi
  if [ $code = 0 ] && [[ " $tasks_devices " == *" $3 "* ]]; then
    score_tasks "$1" "$where" || { failed=$((failed + 1)) && echo "  tasks failed: $(complaint "$where/task.log")"; }
    [ $stopping = 0 ] || exit $stopped
  fi
}

every count
if [ -n "$dry_run" ]; then
  every show
  exit 0
fi

mkdir -p "$out" || die $machine "$out: cannot be made"
exec 9>"$out/.lock"
flock -n 9 || die $wrong_command "$out: another reproduce.sh is at work there"
trap stop INT TERM
{
  echo "command scripts/reproduce.sh ${arguments//$PWD\//}"
  echo "cpu $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
  echo "kernels ${OPENBLAS_CORETYPE:-as OpenBLAS chooses}"
  echo "cores $cores"
  echo "ranks $ranks"
} >"$out/machine.txt"
every run
scripts/tables "$out" || failed=$((failed + 1))
[ $failed = 0 ] || die 1 "$failed of $total runs failed, or their tasks or tables; the same command tries them again"
