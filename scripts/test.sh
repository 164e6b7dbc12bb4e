#!/usr/bin/env bash
# Builds and tests everything: what a developer runs before a commit, and what continuous integration runs.
#   scripts/test.sh           packages, release build (gcc), all tests, rules, sanitizers, clang, format, clang-tidy
#   scripts/test.sh --quick   stops after the tests of the release build and the rules
# EDGEFUSE_JOBS: parallel jobs (default 2). The last line counts; the exit code is 0 if nothing failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

jobs=${EDGEFUSE_JOBS:-2}
passed=0 failed=0 skipped=0
logs=build/logs
mkdir -p "$logs"
export CTEST_OUTPUT_ON_FAILURE=1 CRITERION_VERBOSITY_LEVEL=1 # which prints skipped cases

say() { echo "== $*"; }

# check NAME COMMAND...: one check of its own; the end of its output is shown when it fails.
check() {
  local name=$1 log
  shift
  log="$logs/${name// /_}.log"
  say "$name"
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    return 0
  fi
  tail -n 40 "$log"
  echo "FAILED: $name (whole output: $log)"
  failed=$((failed + 1))
  return 1
}

# shellcheck disable=SC2317 # called through check
build() { cmake --preset "$1" && cmake --build "build/$1" -j "$jobs"; }

# count LOG: "passed failed skipped" of a ctest log. A Criterion program counts its cases; a case that several ranks run,
# and any other program, counts once.
count() {
  awk '
    function flush_test() {
      if (name == "") return
      if (cases > 0 && name !~ /@/) { p += good; f += bad }
      else if (ok) p++
      else if (!skip) f++
      if (cases > 0 && name !~ /@/ && !ok && bad == 0) f++
      s += skip
      name = ""
    }
    /^[0-9]+\/[0-9]+ Test: / { flush_test(); name = $3; cases = good = bad = skip = 0; ok = 0 }
    /Synthesis: Tested:/ {
      gsub(/[|:]/, " ")
      for (i = 1; i < NF; i++) {
        if ($i == "Tested") cases += $(i + 1)
        if ($i == "Passing") good += $(i + 1)
        if ($i == "Failing" || $i == "Crashing") bad += $(i + 1)
      }
    }
    /^\[SKIP\]/ && !/Test is disabled/ { if (name ~ /@/) skip = 1; else skip++ }
    /^Test Passed\.$/ { ok = 1 }
    /^Test Skipped/ || /^Skipped/ { skip = 1; ok = 0 }
    END { flush_test(); print p + 0, f + 0, s + 0 }
  ' "$1"
}

# run_tests PRESET [ctest options]: runs and counts.
run_tests() {
  local preset=$1 p f s
  shift
  say "tests of build/$preset"
  ctest --preset "$preset" -j "$jobs" "$@" 2>&1 | tee "$logs/ctest_$preset.log" | grep -vE '^ *Start +[0-9]+:'
  local rc=${PIPESTATUS[0]}
  read -r p f s < <(count "build/$preset/Testing/Temporary/LastTest.log")
  if [ "$rc" != 0 ] && [ "$f" = 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# shellcheck disable=SC2317 # called through check
tidy() {
  local rc=0
  find src kernels \( -path src/sim -o -name main_sim.c \) -prune -o -name '*.c' -print0 | # these have another mpi.h
    xargs -0 -P "$jobs" -n 4 clang-tidy --quiet --extra-arg=-UNDEBUG -p build/clang >"$logs/clang-tidy-notes.log" 2>/dev/null || rc=1
  grep -E '(error|warning): ' "$logs/clang-tidy-notes.log" | sort -u
  return "$rc"
}

finish() {
  echo
  grep -h '^\[SKIP\]' build/*/Testing/Temporary/LastTest.log 2>/dev/null | grep -v 'Test is disabled' | sort -u || true
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
  exit
}

check "packages" scripts/bootstrap.sh
check "release build with gcc" build release && run_tests release
check "rules of the tree" scripts/check_rules.sh
[ "${1:-}" != --quick ] || finish
check "build with sanitizers" build asan && run_tests asan -LE 'mpi|slow|plots|simgrid'
check "build with clang" build clang
check "format" scripts/format.sh --check
[ ! -e build/clang/compile_commands.json ] || check "clang-tidy" tidy
finish
