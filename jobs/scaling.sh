# shellcheck shell=bash
# One run on each number of ranks, and one table of them. Sourced by scaling_strong.sbatch and scaling_weak.sbatch,
# after site.sh.

# 1, 2, 4, ... and all ranks of the allocation.
rank_counts() {
  local ranks=1 all=${SLURM_NTASKS:-1}
  for (( ; ranks < all; ranks *= 2)); do echo "$ranks"; done
  echo "$all"
}

# one_run FOLDER RANKS ARGUMENT...: a run from its start to its end, timed; one that is finished already is kept. A
# run that was stopped half-way is no measurement: it begins again. The wall time stands in FOLDER/wall.
one_run() {
  local folder=$1 ranks=$2 began
  shift 2
  [ ! -s "$folder/wall" ] || return 0
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  began=$(date +%s.%N)
  run_on "$ranks" train "$@" --out "$folder" -q || return
  awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.3f\n", b - a }' >"$folder/wall"
}

# For awk: the number behind a key of a line of metrics.jsonl, 0 if there is none.
# shellcheck disable=SC2016
value='function value(key) {
  if (!match($0, "\"" key "\": [^,}]*")) return 0
  return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0
}'

# row FOLDER RANKS DEVICES: seconds of all phases (without the start of MPI and the cutting of text), seconds that the
# run had planned for the work that it did, seconds of the whole command, tokens that were trained on, tokens per second.
row() {
  local planned
  planned=$(sed -n 's/^Time: measured .* was done \([0-9.]*\) s .*/\1/p' "$1/report.md")
  awk -v ranks="$2" -v devices="$3" -v planned="${planned:-0}" -v wall="$(cat "$1/wall")" "$value"'
    /"event": "phase"/ { seconds += value("seconds"); tokens += value("tokens") }
    END {
      printf "%d\t%d\t%.2f\t%.2f\t%.2f\t%.0f\t%.1f\n", ranks, devices, seconds, planned, wall, tokens, tokens / seconds
    }
  ' "$1/metrics.jsonl"
}

# phase_rows FOLDER RANKS: a line for each phase, summed over starts: mean seconds of computing, exchange and waiting of
# a rank, bytes between ranks, and the computing of the slowest rank by the mean.
phase_rows() {
  awk -v ranks="$2" "$value"'
    /"event": "phase"/ {
      match($0, /"name": "[^"]*"/)
      name = substr($0, RSTART + 9, RLENGTH - 10)
      if (!(name in seconds)) order[++count] = name
      seconds[name] += value("seconds"); compute[name] += value("compute_seconds")
      slowest[name] += value("slowest_seconds"); exchange[name] += value("exchange_seconds")
      wait[name] += value("wait_seconds"); bytes[name] += value("exchange_bytes")
    }
    END {
      for (i = 1; i <= count; i++) {
        name = order[i]
        printf "%s\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.2f\n", name, ranks, seconds[name], compute[name],
          exchange[name], wait[name], bytes[name], (compute[name] > 0 ? slowest[name] / compute[name] : 1)
      }
    }
  ' "$1/metrics.jsonl"
}

# phase_table ROWS: those lines of all runs, aligned, each phase on every number of ranks.
phase_table() {
  printf '%-20s %6s %10s %10s %10s %10s %14s %10s\n' phase ranks seconds computing exchange waiting bytes imbalance
  awk -F '\t' '
    !($1 in lines) { order[++count] = $1 }
    { lines[$1] = lines[$1] sprintf("%-20s %6d %10.2f %10.2f %10.2f %10.2f %14.0f %10.2f\n", $1, $2, $3, $4, $5, $6, $7, $8) }
    END { for (i = 1; i <= count; i++) printf "%s", lines[order[i]] }
  ' "$1"
}

newest() { find "$1/checkpoint" -name 'step_*.h5' | sort | tail -n 1; }

# same_bits FOLDER FOLDER: "same" if the models of two runs are equal bit for bit.
same_bits() { if run_on 1 diff "$(newest "$1")" "$(newest "$2")" >/dev/null; then echo same; else echo different; fi; }

# table ROWS: adds speedup (of tokens per second, against one rank) and efficiency (speedup by ranks), and aligns.
table() {
  awk -F '\t' '
    NR == 1 {
      one = $7
      printf "%6s %8s %10s %10s %10s %12s ", "ranks", "devices", "seconds", "planned", "wall", "tokens"
      printf "%12s %8s %10s %10s\n", "tokens/s", "speedup", "efficiency", "bits"
    }
    {
      printf "%6d %8d %10.2f %10.2f %10.2f %12.0f ", $1, $2, $3, $4, $5, $6
      printf "%12.1f %8.2f %10.3f %10s\n", $7, $7 / one, $7 / one / $1, $8
    }
  ' "$1"
}

# scaling KIND DECK OUT DEVICES [options of edgefuse train]: KIND strong: the same deck on each number of ranks,
# whose models must be equal, so that the speed of the same work is compared; KIND weak: DEVICES devices a rank.
scaling() {
  local kind=$1 deck=$2 out=$3 devices=$4 ranks folder count bits='-' some
  shift 4
  mkdir -p "$out"
  : >"$out/rows.tsv"
  : >"$out/phases.tsv"
  for ranks in $(rank_counts); do
    folder=$out/ranks_$ranks some=()
    [ "$kind" = strong ] || some=(--set federation.devices=$((devices * ranks)))
    say "$ranks ranks"
    one_run "$folder" "$ranks" "$deck" "${some[@]}" "$@" || exit
    [ "$kind" = weak ] || bits=$(same_bits "$out/ranks_1" "$folder")
    count=$(sed -n 's/^  devices: //p' "$folder/deck.yaml")
    printf '%s\t%s\n' "$(row "$folder" "$ranks" "$count")" "$bits" >>"$out/rows.tsv"
    phase_rows "$folder" "$ranks" >>"$out/phases.tsv"
  done
  table "$out/rows.tsv" | tee "$out/scaling.txt"
  phase_table "$out/phases.tsv" | tee "$out/phases.txt"
  ! grep -q 'different$' "$out/rows.tsv"
}
