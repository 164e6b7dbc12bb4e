#!/usr/bin/env bash
# A real Slurm on this machine for a test: munged, slurmctld and virtual nodes n1..nN, all on 127.0.0.1 and all of it
# below one folder; the system's own munge and Slurm, if there are any, are left alone.
#   cluster.sh can              says why it cannot run here and ends with 77; silent and 0 if it can
#   cluster.sh up FOLDER [N]    starts it in a new folder (2 nodes of 4 CPUs); then:
#                               export SLURM_CONF=FOLDER/slurm.conf EDGEFUSE_CLUSTER=FOLDER
#   cluster.sh down FOLDER      ends it and whatever its jobs left running; the folder stays
# Each node has namespaces of its own: a host name, which tells the nodes apart for MPI, and private places for
# PMIx and shared memory, whose file names would clash between nodes and between clusters.
set -uo pipefail

die() {
  echo "cluster: $*" >&2
  exit 1
}

can() {
  local program
  [ "$(id -u)" = 0 ] || { echo 'not root'; exit 77; }
  for program in munged slurmctld slurmd sbatch unshare; do
    command -v "$program" >/dev/null || { echo "$program is not installed"; exit 77; }
  done
  unshare --mount --uts true 2>/dev/null || { echo 'no mount and host name namespaces'; exit 77; }
}

free_ports() { # COUNT: the first of so many ports in a row that nobody listens to
  local first port busy
  for _ in $(seq 50); do
    first=$((20000 + RANDOM % 10000)) busy=''
    for port in $(seq "$first" $((first + $1 - 1))); do
      ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || busy=1
    done
    [ -n "$busy" ] || { echo "$first"; return; }
  done
}

# Short times, so that tests need not wait: credentials expire soon (a requeued job waits for that), the scheduler
# looks every second. Not shorter than a busy machine bears: a job that is told to end has Slurm's usual half a minute.
# A step ends with its first rank that fails, the stricter habit of sites.
configure() { # FOLDER NODES
  local folder=$1 port node
  port=$(free_ports $(($2 + 1)))
  [ -n "$port" ] || die 'no free ports'
  cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthInfo=socket=$folder/munge.socket,cred_expire=10
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
FirstJobId=$((port % 10000 + 1))
ReturnToService=2
KillWait=30
KillOnBadExit=1
MailProg=/bin/true
CONF
  for node in $(seq "$2"); do
    echo "NodeName=n$node NodeAddr=127.0.0.1 Port=$((port + node)) CPUs=4 RealMemory=1000 Weight=$node" # n1 first
  done >>"$folder/slurm.conf"
  echo 'PartitionName=test Nodes=ALL Default=YES MaxTime=10 OverSubscribe=YES:4' >>"$folder/slurm.conf"
  echo "PMIxCliTmpDirBase=$folder/pmix" >"$folder/mpi.conf"
  { cat /etc/hosts; seq -f '127.0.0.1 n%.0f' "$2"; } >"$folder/hosts"
}

start_node() { # FOLDER NODE
  mkdir -p "$1/spool.$2" "$1/pmix" "$1/pmix.$2"
  # shellcheck disable=SC2016 # expanded by the inner shell
  unshare --mount --uts --propagation private sh -ec '
    hostname "$2"
    mount --bind "$1/pmix.$2" "$1/pmix"
    mount --bind "$1/hosts" /etc/hosts
    mount -t tmpfs tmpfs /dev/shm
    exec slurmd -f "$1/slurm.conf" -N "$2"' sh "$1" "$2" </dev/null
}

up() { # FOLDER NODES
  local folder=$1 nodes=$2 node
  export EDGEFUSE_CLUSTER=$folder SLURM_CONF=$folder/slurm.conf # the first marks what is started here
  mkdir -p "$folder/state" || die "$folder cannot be made"
  configure "$folder" "$nodes"
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --num-threads=2 2>/dev/null ||
    die 'munged does not start'
  slurmctld -f "$folder/slurm.conf" || die 'slurmctld does not start'
  for node in $(seq "$nodes"); do start_node "$folder" "n$node" || die "slurmd of n$node does not start"; done
  for _ in $(seq 150); do
    [ "$(timeout 5 sinfo -h -N -t idle -o %N 2>/dev/null | wc -l)" -lt "$nodes" ] || return 0
    sleep 0.2
  done
  tail -n 20 "$folder"/*.log >&2
  die 'the nodes do not come up'
}

# Processes that were started in this cluster, daemons and jobs: EDGEFUSE_CLUSTER of their environment names it.
members() { # FOLDER
  local file
  for file in /proc/[0-9]*/environ; do
    if grep -qzxF -- "EDGEFUSE_CLUSTER=$1" "$file" 2>/dev/null; then basename "${file%/environ}"; fi
  done
}

down() { # FOLDER
  local pids
  for _ in $(seq 50); do
    pids=$(members "$1")
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null
    sleep 0.1
  done
  die "still running: $pids"
}

# What this script starts itself must not bear the mark of a member.
if [ -n "${EDGEFUSE_CLUSTER:-}" ]; then exec env -u EDGEFUSE_CLUSTER bash "$0" "$@"; fi
case "${1:-} $#" in
  'can 1') can ;;
  'up 2') up "$2" 2 ;;
  'up 3') up "$2" "$3" ;;
  'down 2') down "$2" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
