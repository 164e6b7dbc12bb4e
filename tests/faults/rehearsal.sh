#!/bin/bash
# Faults, rehearsed: a rank is killed in a step, a write, a rename; the disk fills; a rank is late; files are damaged.
# Each ends in a documented code or a whole run; what bears a final name verifies; the resumed run has the bits of one
# that was left alone, and repeats no more than the interval that was under way on each rank.
#   EDGEFUSE_KILLS=200 ctest -R faults/rehearsal   # more of each kind than a test run has time for
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

preload=${EDGEFUSE_FAULT_MAKER:?names the library that makes faults}
kills=${EDGEFUSE_KILLS:-6}
ranks=2
kinds=(step write rename)
sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0/' "$deck" # every step is saved: the interval is one step

# count RANK KIND: calls of a kind on a rank of the last rehearsed command.
count() {
  local place
  case $2 in step) place=0 ;; write) place=1 ;; rename) place=2 ;; esac
  od -An -t d8 -j $((8 * place)) -N 8 "$work/counts.$1" | tr -d ' '
}
renames() {
  local sum=0 r
  for ((r = 0; r < ranks; r++)); do sum=$((sum + $(count "$r" rename))); done
  echo "$sum"
}

# rehearse FAULT FOLDER [--resume]: a run of the deck with this fault ('' for none).
rehearse() {
  local fault=$1 folder=$2
  shift 2
  run env LD_PRELOAD="$preload" EDGEFUSE_FAULT="$fault" EDGEFUSE_FAULT_COUNTS="$work/counts" \
    mpirun -n "$ranks" "$program" train "$deck" --out "$folder" -q "$@"
  last="fault $fault: $last"
}

# draw I MOST: a number from 1 to MOST, the same in every rehearsal.
draw() { echo $((1 + ($1 * 2654435761 + 12345) % 4294967296 % $2)); }

# Every file under a final name is whole. One start of the program looks at all of them.
whole() {
  # shellcheck disable=SC2046
  verified $(find "$1" -name '*.h5')
}

# ---- left alone ------------------------------------------------------------------------------------------------

rehearse '' "$work/alone"
ends 0
all=$(renames)
declare -A most
for ((r = 0; r < ranks; r++)); do
  for kind in "${kinds[@]}"; do most[$r,$kind]=$(count "$r" "$kind"); done
done
last='an uninterrupted run'
verdict 'steps, writes and renames on both ranks' \
  "$(for key in "${!most[@]}"; do [ "${most[$key]}" -gt 3 ] || echo "$key: ${most[$key]}"; done)"
cp -r "$work/alone" "$work/again"
rehearse '' "$work/again" --resume
ends 0
constant=$(renames) # what any start commits

# ---- killed ------------------------------------------------------------------------------------------------------

# goes_on FOLDER COMMITS: resumed, it ends with the bits of the run left alone. COMMITS were made before: what each
# rank was at when the end came is done again, not more.
goes_on() {
  local folder=$1 before=$2
  rehearse '' "$folder" --resume
  ends 0
  same "$work/alone" "$folder"
  last="resumed $folder: $before commits, then $(renames), of $all"
  verdict 'at most the interval under way on each rank again' \
    "$([ $((before + $(renames))) -le $((all + constant + ranks)) ] || echo more)"
}

for ((i = 0; i < kills; i++)); do
  rank=$((i % ranks)) kind=${kinds[i / ranks % 3]} folder=$work/killed action=kill
  [ "$kind" != write ] || [ $((i % 4)) -lt 2 ] || action=half
  rm -rf "$folder"
  rehearse "$rank:$kind:$(draw "$i" "${most[$rank,$kind]}"):$action" "$folder"
  ends 137
  commits=$(renames)
  whole "$folder"
  goes_on "$folder" "$commits"
done
echo "$kills kills, of 2 ranks in turn: in a step, in a write (whole or half done), before a rename"

# ---- no room ----------------------------------------------------------------------------------------------------

for ((i = 0; i < 2 + kills / 20; i++)); do
  rank=$((i % ranks)) folder=$work/full
  rm -rf "$folder"
  rehearse "$rank:write:$(draw "$i" "${most[$rank,write]}"):full" "$folder"
  ends 6 '(space|written)'
  commits=$(renames)
  whole "$folder"
  goes_on "$folder" "$commits"
done

# ---- late ---------------------------------------------------------------------------------------------------------

late=''
for ((i = 0; i < 6; i++)); do
  rank=$((i % ranks)) kind=${kinds[i / ranks % 3]}
  late="$late,$rank:$kind:$(draw "$i" "${most[$rank,$kind]}"):late"
done
rehearse "${late#,}" "$work/late"
ends 0
same "$work/alone" "$work/late"

# ---- damaged files -----------------------------------------------------------------------------------------------

# told FILE WHOLE: damage is told with code 5; where it hit nothing that is read, the file is as before.
told() {
  edgefuse inspect "$1" --verify
  if [ "$code" -eq 0 ]; then
    edgefuse diff "$1" "$2"
    ends 0
  else
    ends 5
  fi
}

file=$(newest "$work/alone") size=0 broken=$work/broken.h5 refused=0
size=$(stat -c %s "$file")
flips=$((8 + kills))
for ((i = 0; i < flips; i++)); do
  place=$((size * i / flips + $(draw "$i" $((size / flips))) - 1))
  byte=$(od -An -tu1 -j "$place" -N 1 "$file")
  cp "$file" "$broken"
  printf '%b' "$(printf '\\x%02x' $((byte ^ (1 << (i % 8)))))" | dd of="$broken" bs=1 seek="$place" conv=notrunc status=none
  told "$broken" "$file"
  [ "$code" -eq 0 ] || refused=$((refused + 1))
  head -c "$place" "$file" >"$broken"
  edgefuse inspect "$broken" --verify
  ends 5
done
last="one bit turned at each of $flips places of a checkpoint"
verdict 'nearly all of them told' "$([ "$refused" -ge $((flips * 3 / 4)) ] || echo "$refused")"
echo "$flips bits turned: $refused told, the others in bytes that nothing reads; $flips cuts told"
finish
