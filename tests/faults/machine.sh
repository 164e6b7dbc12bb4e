#!/bin/bash
# The machine fails: no permission, no space, too many ranks. Code 6 and one line; what was saved before stays whole.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

# ---- folders -------------------------------------------------------------------------------------------------

: >"$work/file"
refused 6 "$work/file" train "$deck" --out "$work/file"
refused 6 "$work/file" train "$deck" --out "$work/file/below"
refused 6 "$work/file" prepare "$deck" --out "$work/file"
verdict 'the file as it was' "$(cat "$work/file")"

# A user who may not write, as nobody where this script runs as root.
mkdir "$work/closed"
chmod 755 "$work"
chmod 555 "$work/closed"
as_user=()
if [ "$(id -u)" -eq 0 ]; then as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi
if "${as_user[@]}" test -r "$deck" 2>/dev/null && "${as_user[@]}" "$program" --version >/dev/null 2>&1; then
  run "${as_user[@]}" "$program" train "$deck" --out "$work/closed"
  ends 6 "$work/closed.*denied"
  run "${as_user[@]}" "$program" train "$deck" --out "$work/closed/below"
  ends 6 "$work/closed/below.*denied"
  empty "$work/closed"
else
  skip 'unwritable folder: the program cannot be run as another user here'
fi

# ---- disk ----------------------------------------------------------------------------------------------------

# A run that stopped at its first step, so that a checkpoint is there.
stopped() { # FOLDER
  mkdir -p "$1"
  : >"$1/stop"
  edgefuse train "$deck" --out "$1" -q
  ends 75
  saved=$(newest "$1")
  cp "$saved" "$work/saved.h5"
}

# still_whole FOLDER: after a failed write the checkpoint is as it was, and nothing half-written has a final name.
still_whole() {
  verdict 'the checkpoint from before as it was' "$(cmp "$saved" "$work/saved.h5" 2>&1)"
  # shellcheck disable=SC2046
  verified $(results "$1" | grep '\.h5$')
}

# fill KIB: leaves this much room on the small disk.
fill() {
  local free
  free=$(df -k --output=avail "$work/disk" | tail -n 1)
  head -c $(((free - $1) * 1024)) /dev/zero >"$work/disk/filler"
}

edgefuse train "$deck" --out "$work/reference" -q
ends 0
needed=$(du -sk "$work/reference" | cut -f 1)

mkdir "$work/disk"
if mount -t tmpfs -o size=64m edgefuse-fault "$work/disk" 2>/dev/null; then
  mounted=$work/disk
  stopped "$work/disk/run"
  for room in 0 40 300 $((needed / 2)) $((needed - 300)); do
    fill "$room"
    edgefuse train "$deck" --out "$work/disk/run" --resume -q
    ends 6 'disk/run.*(space|written whole)'
    still_whole "$work/disk/run"
    rm "$work/disk/filler"
  done
  fill 150
  edgefuse_on 2 train "$deck" --out "$work/disk/run" --resume -q
  ends 6 'disk/run.*(space|written whole)'
  still_whole "$work/disk/run"
  rm "$work/disk/filler"
  edgefuse_on 2 train "$deck" --out "$work/disk/run" --resume -q
  ends 0
  same "$work/reference" "$work/disk/run"
  fill 60
  refused 6 'disk/copy' export "$(newest "$work/disk/run")" "$work/disk/copy"
  empty "$work/disk/copy"
  umount "$work/disk" && mounted=''
else
  skip 'full disk: no tmpfs can be mounted here'
fi

# ---- more ranks than work ------------------------------------------------------------------------------------

alone=(--set federation.devices=1 --set fusion.clusters=1 -q)
edgefuse train "$deck" --out "$work/alone" "${alone[@]}"
ends 0
edgefuse_on 8 train "$deck" --out "$work/crowd" "${alone[@]}"
ends 0
same "$work/alone" "$work/crowd"
finish
