#!/bin/bash
# What a run shows while it is under way: a line with a bar on a terminal, plain lines elsewhere, the file `progress`.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

sed -i 's/^  steps: 10/  steps: 200/; s/pretrain_steps: 10/pretrain_steps: 200/' "$deck"

# holds FILE PATTERN: some line matches.
holds() { verdict "a line '$2'" "$(grep -Eq -- "$2" "$1" || tail -n 5 "$1" | cat -v)"; }

# ---- a terminal ------------------------------------------------------------------------------------------------

# The last lines of a terminal as a person sees them: what stands before the last "return and erase" is gone.
seen() { tr -d '\000' <"$1" | sed -e 's/.*\r\x1b\[K\(.\)/\1/' -e 's/\r$//'; }

if command -v script >/dev/null; then
  last="script: $program train"
  timeout -k 5 120 script -qec "stty cols 100; '$program' train '$deck' --out '$work/terminal'" "$work/typescript" \
    </dev/null >"$work/out" 2>"$work/err"
  code=$?
  ends 0
  tr '\r' '\n' <"$work/typescript" >"$work/states"
  holds "$work/states" '^[a-z ]+ \[#*\.*\] [0-9]+ %, [0-9.]+ steps/s, loss [0-9.]+, .* left'
  wide=$(sed 's/\x1b\[K//' "$work/states" | grep '\[#*\.*\]' | awk 'length > 99')
  verdict 'no line as wide as the terminal' "$wide"
  seen "$work/typescript" >"$work/screen"
  holds "$work/screen" '^tuning  +[0-9.]+ s +[0-9]+ tokens'
  verdict 'no bar is left' "$(grep '\[#*\.*\]' "$work/screen" | cat -v)"

  # An error while a line is open stands alone on its line.
  last="script: $program train, stopped"
  timeout -k 5 120 script -qec "stty cols 100; timeout -s TERM 3 '$program' train '$deck' --out '$work/stopped' \
    --set tune.steps=1000000" "$work/typescript" </dev/null >"$work/out" 2>"$work/err"
  seen "$work/typescript" >"$work/screen"
  holds "$work/screen" '^edgefuse: .*--resume'
  holds "$work/stopped/progress" '^stopped: '
else
  skip 'no script(1): the form on a terminal'
fi

# ---- a log -----------------------------------------------------------------------------------------------------

start 0 train "$deck" --out "$work/log" --set tune.steps=1000000
for ((tenth = 0; tenth < 400; tenth++)); do
  grep -q '^public only: step' "$work/err" && break
  sleep 0.1
done
last="$program train, in a log"
holds "$work/err" '^public only: step [0-9]+ of [0-9]+, [0-9.]+ steps/s, loss [0-9.]+, .* left$'
verdict 'no control characters' "$(grep -P '[\x00-\x08\x0b-\x1f]' "$work/err" | cat -v)"
holds "$work/log/progress" '^public only: step [0-9]+ of [0-9]+, .* left$'
verdict 'one line in progress' "$([ "$(wc -l <"$work/log/progress")" -eq 1 ] || cat "$work/log/progress")"
touch "$work/log/stop"
collect
ends 75
holds "$work/log/progress" '^stopped: '
absent "$work/log/progress.tmp"

edgefuse train "$deck" --out "$work/whole" -q
ends 0
verdict 'nothing on standard error with -q' "$(cat "$work/err")"
holds "$work/whole/progress" '^finished$'
finish
