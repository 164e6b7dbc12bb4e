#!/usr/bin/env bash
# From a bare Debian 12 machine to a trained global model: packages, build, real text, a run on 4 ranks, its table.
#   scripts/quickstart.sh [options of edgefuse train]
# EDGEFUSE_RANKS (default 4), EDGEFUSE_OUT (default runs/quickstart). A run that was stopped goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

ranks=${EDGEFUSE_RANKS:-4}
out=${EDGEFUSE_OUT:-runs/quickstart}

scripts/bootstrap.sh
echo "== build" >&2
cmake --preset release >/dev/null
cmake --build build/release -j "$(nproc)" --target edgefuse >/dev/null

# Exit code 3 of fetch_brown.sh: no npm or no network. The corpus that ships with edgefuse is small: it shows the way, not
# what the method can do.
text=()
code=0
scripts/fetch_brown.sh data || code=$?
if [ "$code" = 3 ]; then
  echo "quickstart: without the Brown corpus; the small texts of inputs/corpus are used, whose figures say little" >&2
  text=(--set "text.files=[corpus/gardening.jsonl, corpus/seafaring.jsonl]" --set text.domain=domain
        --set text.folder=inputs --set text.vocabulary=320 --set text.public_share=0.4
        --set text.validation_share=0.15)
elif [ "$code" != 0 ]; then
  exit "$code"
fi

# shellcheck source=scripts/mpi_env.sh
. scripts/mpi_env.sh
resume=()
[ ! -e "$out/deck.yaml" ] || resume=(--resume)
echo "== train on $ranks ranks" >&2
mpirun -n "$ranks" build/release/edgefuse train inputs/quickstart.yaml --out "$out" "${resume[@]}" "${text[@]}" "$@"

echo
cat "$out/report.md"
echo
echo "Files:"
find "$out" -maxdepth 2 -type f -not -path '*/parts/*' | sort | sed 's/^/  /'
