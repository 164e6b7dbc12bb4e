#!/usr/bin/env bash
# The expert-parallel step on clusters that are not here: edgefuse-sim under SimGrid (Debian: libsimgrid-dev), beside the
# times that the model behind `edgefuse plan` foretells (src/step/step_time.h).
#   scripts/simgrid.sh [--hosts 64,256] [--per-host RANKS] [--network NAME] [--out DIR] [-- options of edgefuse-sim]
# Writes DIR/simgrid.{jsonl,tsv,md} (DIR: build/simgrid/runs). 77: there is no smpicc.
# 1,024 hosts take about four minutes of one core and 10 GB: each rank is a copy of the program.
# EDGEFUSE_SIM_BUILD: build folder (build/simgrid). EDGEFUSE_JOBS: parallel jobs of the build (2).
set -euo pipefail
cd "$(dirname "$0")/.."

# The simulated machines. A message from host to host takes latency + bytes / bandwidth, and either side the overhead.
speed=10e9                                   # floating-point operations per second of a rank
node_latency=3e-7 node_bandwidth=5e9         # between ranks of a host
networks=(                                   # name latency bandwidth overhead
  "infiniband 1e-6 12.5e9 2e-7"
  "ethernet 20e-6 1.25e9 1e-6"
)
most_experts=256 # one on each rank, up to this

die() { echo "simgrid: $1" >&2; exit "${2:-2}"; }

hosts=64,256 per_host=1 only='' out=''
build=${EDGEFUSE_SIM_BUILD:-build/simgrid}
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  [ $# -ge 2 ] || die "$1: its value is missing"
  case $1 in
    --hosts) hosts=$2 ;;
    --per-host) per_host=$2 ;;
    --network) only=$2 ;;
    --out) out=$2 ;;
    *) die "$1: no such option; see the head of scripts/simgrid.sh" ;;
  esac
  shift 2
done
[ $# = 0 ] || shift
out=${out:-$build/runs}
[[ $hosts =~ ^[1-9][0-9]*(,[1-9][0-9]*)*$ && $per_host =~ ^[1-9][0-9]*$ ]] || die "--hosts and --per-host want whole numbers"
if ! command -v smpicc >/dev/null || ! command -v smpirun >/dev/null; then
  die "no smpicc here: apt-get install --no-install-recommends libsimgrid-dev" 77
fi

mkdir -p "$out"
{ cmake --preset simgrid -B "$build" && cmake --build "$build" -j "${EDGEFUSE_JOBS:-2}"; } >"$out/build.log" 2>&1 ||
  { tail -n 20 "$out/build.log" >&2; die "the build failed: $out/build.log" 6; }

# platform HOSTS LATENCY BANDWIDTH: the file of a cluster around one switch; a message passes two links.
platform() {
  local half
  half=$(awk -v s="$2" 'BEGIN { printf "%.9g", s / 2 }')
  cat <<EOF
<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="n" suffix="" radical="0-$(($1 - 1))" speed="${speed}f" core="$per_host" bw="${3}Bps"
           lat="${half}s" loopback_bw="${node_bandwidth}Bps" loopback_lat="${node_latency}s"/>
</platform>
EOF
}

# simulate HOSTS LATENCY BANDWIDTH OVERHEAD [options]: prints the line of edgefuse-sim. Times are those of the platform
# file, without SimGrid's corrections for one cluster's TCP (CM02 alone), collectives those of MPICH; the overhead is
# charged to the sender for both sides, so that messages need no copy in a buffer.
simulate() {
  local n=$1 latency=$2 bandwidth=$3 overhead=$4 ranks=$(($1 * per_host)) both
  shift 4
  both=0:$(awk -v s="$overhead" 'BEGIN { printf "%.9g", 2 * s }'):0
  platform "$n" "$latency" "$bandwidth" >"$out/platform.xml"
  awk -v n="$n" -v c="$per_host" 'BEGIN { for (i = 0; i < n * c; i++) print "n" int(i / c) }' >"$out/hosts"
  OPENBLAS_NUM_THREADS=1 smpirun -np "$ranks" -platform "$out/platform.xml" -hostfile "$out/hosts" \
    --cfg=network/model:CM02 --cfg=network/crosstraffic:0 --cfg=smpi/coll-selector:mpich \
    --cfg=smpi/simulate-computation:no --cfg=smpi/send-is-detached-thresh:0 \
    --cfg=smpi/os:"$both" --cfg=smpi/ois:"$both" --log=root.thresh:warning \
    "$build/edgefuse-sim" --experts $((ranks < most_experts ? ranks : most_experts)) \
    --latency "$latency" --bandwidth "$bandwidth" --overhead "$overhead" \
    --node-latency "$node_latency" --node-bandwidth "$node_bandwidth" "$@"
}

# Rows of the table, from lines of "NETWORK HOSTS {json}".
# shellcheck disable=SC2016 # awk
rows='
  function get(part, key,    at, text) {
    text = $0
    if (part != "") { at = index(text, "\"" part "\": {"); text = substr(text, at) }
    at = index(text, "\"" key "\": ")
    text = substr(text, at + length(key) + 4)
    sub(/[,}].*/, "", text)
    return text
  }
  { printf "%s\t%d\t%d\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g\t%.4g\t%+.1f\t%.2f\t%+.1f\t%.4g\n", $1, $2, get("", "ranks"),
      1e3 * get("most", "seconds"), 1e3 * get("mean", "compute"), 1e3 * get("mean", "exchange"), 1e3 * get("mean", "wait"),
      1e3 * get("model", "seconds"), 1e3 * get("model", "compute"), 1e3 * (get("model", "exchange") + get("model", "reduction")),
      1e3 * get("model", "agreement"), 100 * get("model", "error"), get("", "skew"), 100 * get("model_with_skew", "error"),
      1e-6 * get("mean", "bytes") }'

: >"$out/lines"
for network in "${networks[@]}"; do
  read -r name latency bandwidth overhead <<<"$network"
  [ -z "$only" ] || [ "$only" = "$name" ] || continue
  for n in ${hosts//,/ }; do
    echo "simgrid: $n hosts, $name" >&2
    line=$(simulate "$n" "$latency" "$bandwidth" "$overhead" "$@")
    echo "$name $n $line" >>"$out/lines"
  done
done
[ -s "$out/lines" ] || die "--network $only: there are: ${networks[*]%% *}"

sed 's/^[^{]*//' "$out/lines" >"$out/simgrid.jsonl"
{
  printf 'network\thosts\tranks\tstep ms\tcomputing\texchange\twaiting\tplan ms\tcomputing\texchange\twaiting\terror %%\tskew\twith skew %%\tMB\n'
  awk "$rows" "$out/lines"
} >"$out/simgrid.tsv"
awk -F '\t' '{ $1 = $1; print "| " $0 " |" } NR == 1 { gsub(/[^|]+/, "---"); print "|" $0 "|" }' OFS=' | ' \
  "$out/simgrid.tsv" >"$out/simgrid.md"
rm "$out/lines"
cat "$out/simgrid.md"
