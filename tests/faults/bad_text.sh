#!/bin/bash
# Text that cannot be used: code 4, one line with file and line, and no run in the folder: the same command works
# when the text is mended.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

text=$work/text
out=$work/run
mkdir "$text"

# bad PATTERN FILE...: a run over these files is refused with this message and leaves no file.
bad() {
  local pattern=$1 names
  shift
  names=$(IFS=,; echo "$*")
  refused 4 "$pattern" train "$deck" --out "$out" --set "text.folder=$text" --set "text.files=[$names]"
  empty "$out"
}

# line TEXT: one document that is not like the others.
line() { printf '{"text": "%s", "domain": "a"}\n' "$*"; }

: >"$text/empty.jsonl"
: >"$text/empty.txt"
printf '\n \n\n' >"$text/blank.txt"
bad 'empty.jsonl' empty.jsonl
bad 'empty.txt' empty.txt
bad 'blank.txt' blank.txt
bad 'nowhere.jsonl' nowhere.jsonl
mkdir "$text/folder.jsonl"
bad 'folder.jsonl' folder.jsonl

{ line one; line two; printf '{"text": "caf\xe9"}\n'; } >"$text/latin1.jsonl"
bad 'latin1.jsonl:3: not UTF-8' latin1.jsonl
printf 'one\ntwo\n\xc3\x28 three\n' >"$text/latin1.txt"
bad 'latin1.txt:3: not UTF-8' latin1.txt
{ line one; printf '{"text": "a\xed\xa0\x80b"}\n'; } >"$text/surrogate.jsonl"
bad 'surrogate.jsonl:2: ' surrogate.jsonl
printf 'one\0two\n' >"$text/nul.txt"
bad 'nul.txt:1: ' nul.txt

{ line one; printf '{"body": "no text here"}\n'; line three; } >"$text/without.jsonl"
bad 'without.jsonl:2: .*"text"' without.jsonl
{ line one; printf '{"text": 7}\n'; } >"$text/number.jsonl"
bad 'number.jsonl:2: .*"text"' number.jsonl
{ line one; line two; printf '{"text": "cut of'; } >"$text/broken.jsonl"
bad 'broken.jsonl:3: ' broken.jsonl
{ line one; printf '["a", "list"]\n'; } >"$text/list.jsonl"
bad 'list.jsonl:2: ' list.jsonl
{ line one; printf '{"text": "x", "domain": 3}\n'; } >"$text/domain.jsonl"
bad 'domain.jsonl:2: .*"domain"' domain.jsonl

# ---- too little ----------------------------------------------------------------------------------------------

line 'a single document' >"$text/single.jsonl"
bad 'documents is' single.jsonl
cp "$source_tree/inputs/corpus/gardening.jsonl" "$text/good.jsonl"
cp "$source_tree/inputs/corpus/seafaring.jsonl" "$text/other.jsonl"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do line "number $i"; done >"$text/short.jsonl"
bad 'text.vocabulary|public text' short.jsonl

good=(train "$deck" --out "$out" --set "text.folder=$text" --set 'text.files=[good.jsonl,other.jsonl]')
refused 4 'text.vocabulary: 50000' "${good[@]}" --set text.vocabulary=50000
empty "$out"
refused 4 'less than one window' "${good[@]}" --set global.context=60000
absent "$out/deck.yaml" "$out/report.json"
refused 4 'empty.jsonl' "${good[@]}" --set text.validation_files=[empty.jsonl] --set text.validation_share=0
absent "$out/deck.yaml"

edgefuse_on 2 train "$deck" --out "$out" --set "text.folder=$text" --set 'text.files=[broken.jsonl]'
ends 4 'broken.jsonl:3: '
absent "$out/deck.yaml"

refused 4 'broken.jsonl:3: ' prepare "$deck" --out "$out" --set "text.folder=$text" --set 'text.files=[broken.jsonl]'

# ---- mended --------------------------------------------------------------------------------------------------

cp "$text/good.jsonl" "$text/broken.jsonl"
edgefuse train "$deck" --out "$out" --set "text.folder=$text" --set 'text.files=[broken.jsonl,other.jsonl]'
ends 0
present "$out/report.json" "$out/deck.yaml"
finish
