#!/bin/bash
# Decks that cannot be meant: code 3, one line that names file, line and key, and nothing written.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

bad=$work/bad.yaml
out=$work/run

# edited SCRIPT PATTERN: the deck after this sed script is refused with this message, before anything is made.
edited() {
  sed "$1" "$deck" >"$bad"
  refused 3 "$2" train "$bad" --out "$out"
  empty "$out"
  rm -rf "$out"
}

# at TEXT: the line number of a text in the good deck.
at() { grep -n -m 1 -- "$1" "$deck" | cut -d : -f 1; }

# ---- keys and values -----------------------------------------------------------------------------------------

edited 's/^  devices: 4/  device: 4/' "bad.yaml:$(at 'devices: 4'): federation.device: .*federation.devices"
edited 's/^federation:/federatoin:/' "bad.yaml:$(at '^federation:'): .*federatoin"
edited 's/family: llama, width/family: llama, wdith/' "bad.yaml:$(at 'family: llama'): .*wdith.*width"
edited 's/^  devices: 4/  devices: four/' "bad.yaml:$(at 'devices: 4'): federation.devices: .*four"
edited 's/^  devices: 4/  devices: 4.5/' "bad.yaml:$(at 'devices: 4'): federation.devices: "
edited 's/^  devices: 4/  devices: [4]/' "bad.yaml:$(at 'devices: 4'): federation.devices: "
edited 's/^  devices: 4/  devices: 0/' "bad.yaml:$(at 'devices: 4'): federation.devices: .*0"
edited 's/^  public_share: 0.4/  public_share: 1.5/' "bad.yaml:$(at public_share): text.public_share: .*1.5"
edited 's/^  public_share: 0.4/  public_share: .nan/' "bad.yaml:$(at public_share): text.public_share: "
edited 's/family: llama/family: mamba/' "bad.yaml:$(at 'family: llama'): .*mamba"
edited 's/^  seed: 1/  seed: -1/' "bad.yaml:$(at 'seed: 1'): run.seed: "
edited 's/^  seed: 1/  seed: 1\n  seed: 2/' "bad.yaml:[0-9]+: .*seed"
edited 's/^  seed: 1/  seed: [1/' 'bad.yaml:[0-9]+: '
edited 's/^  files:.*/  files: []/' 'text.files'
edited 's/^  files:.*//' 'text.files'

# ---- what does not fit together ------------------------------------------------------------------------------

edited 's/^  clusters: 2/  clusters: 3/' 'global.experts.*fusion.clusters'
edited 's/^  experts: 4/  experts: 8/; s/^  clusters: 2/  clusters: 8/' 'fusion.clusters.*federation.devices'
edited 's/^  top_k: 2/  top_k: 5/' 'global.top_k.*global.experts'
edited 's/^  expert_width: 16/  expert_width: 3/' 'global.shared_width'
edited 's/^  vaa_heads: 2/  vaa_heads: 2\n  stages: 9/' 'fusion.stages'
edited 's/^  micro_batch: 2/  micro_batch: 3/' 'tune.batch.*tune.micro_batch'
edited 's/^  heads: 4/  heads: 5/' 'global.width.*global.heads'
edited 's/^  validation_share: 0.1/  validation_share: 0.7/' 'text.public_share.*text.validation_share'
edited 's/^  devices: 4/  devices: 4\n  fail: [7]/' 'federation.fail'
edited 's/^  devices: 4/  devices: 4\n  rounds: 0/' 'federation.rounds: .*out of range'
edited 's/^  clusters: 2/  clusters: 2\n  proxy_weights: size/' 'fusion.proxy_weights: .*equal'
edited 's/^  clusters: 2/  clusters: 2\n  proxy_weights: validation/; s/^  devices: 4/  devices: 4\n  validation_share: 0/' \
  'fusion.proxy_weights validation needs federation.validation_share'
edited 's/^  clusters: 2/  clusters: 2\n  transfer: private/' 'fusion.transfer: .*public'
edited 's/^  clusters: 2/  clusters: 2\n  transfer: generated\n  patch: 4/; s/^  context: 16/  context: 9/' \
  'fusion.transfer generated needs a federation.context'
edited 's/^  clusters: 2/  clusters: 2\n  transfer: generated\n  generated_ce: false\n  beta: 0/' \
  'fusion.generated_ce false .*fusion.beta'

# ---- the file and the command line ---------------------------------------------------------------------------

refused 3 'nowhere.yaml' train "$work/nowhere.yaml" --out "$out"
: >"$bad"
edgefuse train "$bad" --out "$out"
ends 3 'text.files'
empty "$out"
rm -rf "$out"
printf 'run:\n  seed: 1\n\x00\xff' >"$bad"
refused 3 'bad.yaml' train "$bad" --out "$out"
refused 3 'set fusion.clutsers=2.*fusion.clusters' train "$deck" --out "$out" --set fusion.clutsers=2
refused 3 'set federation.devices=abc' train "$deck" --out "$out" --set federation.devices=abc
refused 3 'set tune.lr=1e9.*out of range' train "$deck" --out "$out" --set tune.lr=1e9
refused 3 'set federation.families.7.width=8' train "$deck" --out "$out" --set federation.families.7.width=8
refused 2 'section.key=value' train "$deck" --out "$out" --set nonsense
refused 2 'no-such-option' train "$deck" --out "$out" --no-such-option
refused 2 'DECK' train
refused 2 'trian.*train' trian "$deck"
absent "$out"

edgefuse_on 2 train "$deck" --out "$out" --set fusion.clutsers=2
ends 3 'set fusion.clutsers=2'
absent "$out"

# ---- too few uploads: known before anything is trained ----------------------------------------------------------

for setting in 'federation.fail=[0,1,3]' federation.fail_probability=1; do
  refused 3 '(1 of 4 devices can upload|all 4 devices fail).*fusion.clusters' \
    train "$deck" --out "$out" --set "$setting"
  empty "$out/checkpoint"
  empty "$out/parts"
  absent "$out/report.json" "$out/deck.yaml"
done

# ---- what only one method refuses: known before anything is trained, to a dry run too ----------------------------

cannot() { # METHOD SETTING PATTERN
  refused 3 "$3" train "$deck" --out "$work/cannot" --method "$1" --set "$2" --dry-run
  absent "$work/cannot"
  refused 3 "$3" train "$deck" --out "$work/cannot" --method "$1" --set "$2"
  absent "$work/cannot/deck.yaml" "$work/cannot/parts/base_start_00000.h5"
  rm -rf "$work/cannot"
}
cannot fedjets rivals.experts=5 'rivals.experts \(5\) must be at most global.experts \(4\)'
cannot fedkmt rivals.top_k=1000 'rivals.top_k = 1000, but the vocabulary has 320 tokens'
finish
