#!/usr/bin/env bash
# Formats every source file with the tree's .clang-format; with --check changes nothing and fails if one differs.
set -euo pipefail
cd "$(dirname "$0")/.."

arguments=(-i)
if [ "${1:-}" = --check ]; then
  arguments=(--dry-run -Werror)
fi
find src kernels tests \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 |
  xargs -0 -r clang-format "${arguments[@]}"
