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

# row FOLDER RANKS DEVICES: seconds of all phases (without the start of MPI and the cutting of text), seconds of
# the whole command, tokens that were trained on, tokens per second.
row() {
  awk -v ranks="$2" -v devices="$3" -v wall="$(cat "$1/wall")" '
    function value(key) {
      if (!match($0, "\"" key "\": [^,}]*")) return 0
      return substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0
    }
    /"event": "phase"/ { seconds += value("seconds"); tokens += value("tokens") }
    END { printf "%d\t%d\t%.2f\t%.2f\t%d\t%.1f\n", ranks, devices, seconds, wall, tokens, tokens / seconds }
  ' "$1/metrics.jsonl"
}

newest() { find "$1/checkpoint" -name 'step_*.h5' | sort | tail -n 1; }

# same_bits FOLDER FOLDER: "same" if the models of two runs are equal bit for bit.
same_bits() { if run_on 1 diff "$(newest "$1")" "$(newest "$2")" >/dev/null; then echo same; else echo different; fi; }

# table ROWS: adds speedup (of tokens per second, against one rank) and efficiency (speedup by ranks), and aligns.
table() {
  awk -F '\t' '
    NR == 1 {
      one = $6
      printf "%6s %8s %10s %10s %12s ", "ranks", "devices", "seconds", "wall", "tokens"
      printf "%12s %8s %10s %10s\n", "tokens/s", "speedup", "efficiency", "bits"
    }
    {
      printf "%6d %8d %10.2f %10.2f %12d ", $1, $2, $3, $4, $5
      printf "%12.1f %8.2f %10.3f %10s\n", $6, $6 / one, $6 / one / $1, $7
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
  for ranks in $(rank_counts); do
    folder=$out/ranks_$ranks some=()
    [ "$kind" = strong ] || some=(--set federation.devices=$((devices * ranks)))
    say "$ranks ranks"
    one_run "$folder" "$ranks" "$deck" "${some[@]}" "$@" || exit
    [ "$kind" = weak ] || bits=$(same_bits "$out/ranks_1" "$folder")
    count=$(sed -n 's/^  devices: //p' "$folder/deck.yaml")
    printf '%s\t%s\n' "$(row "$folder" "$ranks" "$count")" "$bits" >>"$out/rows.tsv"
  done
  table "$out/rows.tsv" | tee "$out/scaling.txt"
  ! grep -q 'different$' "$out/rows.tsv"
}
