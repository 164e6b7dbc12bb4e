#!/usr/bin/env bash
# Rules of the tree that grep can see (CONTRIBUTING.md). Prints each breach and fails if there is one.
#   scripts/check_rules.sh [--changelog COMMIT]   also: a public change since COMMIT needs an entry in CHANGELOG.md
set -euo pipefail
cd "$(dirname "$0")/.."

breaches=0

# rule TEXT: every line of standard input is a breach of the rule.
rule() {
  local line
  while IFS= read -r line; do
    echo "rule: $1: $line"
    breaches=$((breaches + 1))
  done
}

# lines PATTERN ALLOWED: lines of the sources that match, outside the files that match ALLOWED.
lines() {
  grep -rnE --include='*.c' --include='*.h' --include='*.cpp' --include='*.inc' -- "$1" src kernels tests 2>/dev/null |
    grep -vE -- "^($2)" || true
}

rule 'mpi.h only in src/par, src/store, src/main.c, tests' \
  < <(lines '^ *# *include *[<"]mpi\.h' 'src/par/|src/store/|src/main\.c|tests/')
rule 'hdf5.h only in src/store' < <(lines '^ *# *include *[<"]hdf5' 'src/store/|tests/')
rule 'cblas.h only in kernels/blas and kernels/bench' < <(lines '^ *# *include *[<"]cblas\.h' 'kernels/(blas|bench)/')
rule 'MPI_COMM_WORLD only in src/par, src/main.c, tests' \
  < <(lines '\bMPI_COMM_WORLD\b' 'src/par/|src/main\.c|tests/')
rule 'only src/main.c and src/par/par.c end the process' \
  < <(lines '\b(exit|_exit|MPI_Abort) *\(' 'src/main\.c|src/par/|tests/|kernels/bench/')
rule 'malloc only in src/base' < <(lines '\b(malloc|calloc|realloc) *\(' 'src/base/|tests/|kernels/')
rule 'no notes for later' \
  < <(grep -rnwE -- "TO""DO|FIX""ME|X""XX|HA""CK" src kernels tests scripts jobs inputs cmake 2>/dev/null || true)
rule 'no file above 600 lines' \
  < <(find src kernels tests scripts jobs \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.sh' -o -name '*.sbatch' \) \
        -exec awk 'END { if (NR > 600) print FILENAME ": " NR " lines" }' {} \;)
rule 'no trailing space' \
  < <(grep -rnE -- '[[:space:]]+$' src kernels tests scripts jobs inputs cmake --include='*.[ch]' --include='*.cpp' \
        --include='*.sh' --include='*.sbatch' --include='*.yaml' --include='*.cmake' --include='*.def' 2>/dev/null || true)

if [ "${1:-}" = --changelog ]; then
  changed=$(git diff --name-only "$2")
  public=$(grep -E '^(src/deck/.*\.def|src/store/h5\.h|src/base/errors\.def|src/cli/cli\.[ch])$' <<<"$changed" || true)
  if [ -n "$public" ] && ! grep -qx 'CHANGELOG.md' <<<"$changed"; then
    rule 'a changed command, deck key, exit code or file format is an entry in CHANGELOG.md' <<<"$public"
  fi
fi

[ "$breaches" = 0 ] || { echo "check_rules: $breaches breaches" >&2; exit 1; }
