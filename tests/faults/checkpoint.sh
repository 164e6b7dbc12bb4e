#!/bin/bash
# Checkpoints: whole ones verify; damaged, cut, newer and foreign ones are refused with code 5 and the reason.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

out=$work/run
sed -i 's/^  seed: 1/  seed: 1\n  checkpoint_every: 0/' "$deck"
edgefuse train "$deck" --out "$out" -q
ends 0
whole=$(newest "$out")
present "$whole" "$out/report.json" "$out/report.md" "$out/run.h5" "$out/metrics.jsonl"
absent "$out/stop"
verdict 'no temporary file' "$(find "$out" -name '*.tmp')"
# shellcheck disable=SC2046
verified $(find "$out" -name '*.h5')

# ---- damage --------------------------------------------------------------------------------------------------

broken=$work/broken.h5
prompt=(generate "$broken" --prompt The --tokens 3)

# damaged PATTERN: $broken is refused by every command that reads it.
damaged() {
  refused 5 "$1" inspect "$broken" --verify
  refused 5 "$1" diff "$whole" "$broken"
  refused 5 "$1" export "$broken" "$work/exported-broken"
  refused 5 "$1" "${prompt[@]}"
}

# The bytes of a tensor as export gives them are found again in the checkpoint: there one bit is turned.
edgefuse export "$whole" "$work/exported"
ends 0
pattern=$(tail -c 16 "$work/exported/model.safetensors" | od -An -v -tx1 | sed 's/ /\\x/g' | tr -d '\n')
place=$(LC_ALL=C grep -obUaP -m 1 "$pattern" "$whole" | head -n 1 | cut -d : -f 1)
last='a tensor of the checkpoint'
verdict 'its bytes in the file' "$([ -n "$place" ] || echo 'not found')"
cp "$whole" "$broken"
byte=$(od -An -tu1 -j "$place" -N 1 "$broken")
printf '%b' "$(printf '\\x%02x' $((byte ^ 1)))" | dd of="$broken" bs=1 seek="$place" conv=notrunc status=none
damaged 'broken.h5: .*(checksum|damaged)'

size=$(stat -c %s "$whole")
for bytes in 0 7 100 $((size / 2)) $((size - 1)); do
  head -c "$bytes" "$whole" >"$broken"
  damaged 'broken.h5: (not an HDF5 file|damaged or cut short)'
done
printf 'no checkpoint at all, but long enough to be one\n' >"$broken"
damaged 'broken.h5: not an HDF5 file'
refused 5 'nowhere.h5' inspect "$work/nowhere.h5"
refused 5 'not a regular file' inspect "$work"

if [ -n "${EDGEFUSE_HDF5_MAKER:-}" ]; then
  "$EDGEFUSE_HDF5_MAKER" foreign "$broken"
  damaged 'broken.h5: an HDF5 file, but not of edgefuse'
  cp "$whole" "$broken"
  "$EDGEFUSE_HDF5_MAKER" version "$broken" 1000
  damaged 'broken.h5: format version 1000 is newer than this program'
  "$EDGEFUSE_HDF5_MAKER" version "$broken" -1
  damaged 'broken.h5: format version -1'
else
  skip 'foreign and newer HDF5 files: EDGEFUSE_HDF5_MAKER is not set'
fi
edgefuse inspect "$whole" "$broken" "$out/run.h5" --verify
ends 5 '1 of 3 files are not whole'
verdict 'a line a file' "$(diff <(printf 'whole    %s\nDAMAGED  %s\nwhole    %s\n' "$whole" "$broken: format version -1" "$out/run.h5") \
  <(sed 's/ is .*//' "$work/out"))"
refused 2 'one argument too many: .*--verify' inspect "$whole" "$out/run.h5"
refused 5 'holds no model' export "$out/tokens/tokens.h5" "$work/exported-tokens"

# ---- resume --------------------------------------------------------------------------------------------------

refused 2 'holds a run: add --resume' train "$deck" --out "$out"
cp "$out/deck.yaml" "$work/deck-before.yaml"
for setting in run.seed=2 tune.steps=11 federation.devices=5; do
  edgefuse train "$deck" --out "$out" --resume -q --set "$setting"
  ends 5 'another deck, seed or text; use the deck of that run'
  verdict 'the deck of the run unchanged' "$(cmp "$work/deck-before.yaml" "$out/deck.yaml" 2>&1)"
done
verified "$whole"

# A finished run that is resumed ends at once, with the same model.
cp "$whole" "$work/before.h5"
edgefuse train "$deck" --out "$out" --resume -q
ends 0
edgefuse diff "$work/before.h5" "$(newest "$out")"
ends 0

# A damaged newest checkpoint is passed over for the one before it, with a warning; if none is whole, that is an error.
verdict 'the newest two checkpoints' "$(find "$out/checkpoint" -type f | wc -l | grep -vx 2)"
head -c 5000 "$work/before.h5" >"$whole"
edgefuse train "$deck" --out "$out" --resume
ends 0
verdict 'a warning that names the damaged file' "$(grep -q 'warning: .*passed over' "$work/err" || tail -n 3 "$work/err")"
edgefuse diff "$work/before.h5" "$whole"
ends 0
for file in "$out"/checkpoint/*; do head -c 5000 "$work/before.h5" >"$file"; done
edgefuse train "$deck" --out "$out" --resume -q
ends 5 'none of 2 checkpoints is whole'

# Damaged parts are made anew.
head -c 5000 "$out/parts/device_00001.h5" >"$work/cut" && mv "$work/cut" "$out/parts/device_00001.h5"
rm "$out"/checkpoint/*
edgefuse train "$deck" --out "$out" --resume
ends 0
verdict 'a warning that names the part' "$(grep -q 'device_00001.h5: .*computed anew' "$work/err" || tail -n 3 "$work/err")"
edgefuse diff "$work/before.h5" "$(newest "$out")"
ends 0

# ---- diff ----------------------------------------------------------------------------------------------------

edgefuse diff "$whole" "$whole"
ends 0
edgefuse diff "$out/parts/device_00000.h5" "$out/parts/device_00001.h5"
ends 1
finish
