#!/usr/bin/env bash
# Installs the Debian packages that edgefuse is built from, those of scripts/plots, SimGrid, and Slurm for tests/slurm, which
# starts one of its own. Quiet when all of them are there; needs root or sudo otherwise. npm is used by
# scripts/fetch_brown.sh when it is there, but not installed: Debian's package conflicts with the nodejs of other sources.
set -euo pipefail

packages=(
  gcc g++ cmake ninja-build pkg-config git ca-certificates
  clang clang-format clang-tidy
  libopenmpi-dev openmpi-bin
  libopenblas-serial-dev
  libhdf5-openmpi-dev hdf5-tools
  libyaml-dev libjansson-dev libsentencepiece-dev libxxhash-dev
  libcriterion-dev
  python3-h5py python3-matplotlib
  slurmctld slurmd slurm-client munge
  libsimgrid-dev
)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "bootstrap: this is no Debian; edgefuse needs the equivalents of: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "bootstrap: not root and no sudo; install by hand: apt-get install ${missing[*]}" >&2
    exit 6
  fi
  as_root=(sudo)
fi

echo "bootstrap: installing ${missing[*]}" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}")
if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "bootstrap: the packages could not be installed" >&2
  exit 6
fi
