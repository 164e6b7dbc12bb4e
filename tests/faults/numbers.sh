#!/bin/bash
# Training that diverges: code 7, the step, the advice, and the last checkpoint that is good.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

out=$work/run

# The decay of AdamW with these settings multiplies every weight by -99 a step.
explode() { # SECTION
  printf -- '--set %s.lr=10 --set %s.weight_decay=10 --set %s.min_lr=1 --set %s.clip=0 --set %s.steps=40 ' \
    "$1" "$1" "$1" "$1" "$1"
}

# ---- tuning --------------------------------------------------------------------------------------------------

# shellcheck disable=SC2046
edgefuse train "$deck" --out "$out" -q $(explode tune) --set run.checkpoint_every=0 --set control.public_only=false
ends 7 "tuning: .*step [0-9]+: .*not finite.*learning rate.*last good checkpoint is $out/checkpoint/step_[0-9]+.h5"
named=$(grep -o "$out/checkpoint/step_[0-9]*.h5" "$work/err")
verdict 'the newest checkpoint is the one that is named' "$([ "$named" = "$(newest "$out")" ] || newest "$out")"
verified "$named"
edgefuse inspect "$named" --json
tr -d '\n ' <"$work/out" >"$work/flat"
verdict 'parameters that are finite' "$(grep -Eo '"path":"/(model|optimizer)/[^}]*"nonfinite":[1-9]' "$work/flat" | head -n 3)"
verdict 'parameters at all' "$(grep -Eq '"path":"/model/[^}]*"nonfinite":0' "$work/flat" || head -c 300 "$work/flat")"
absent "$out/report.json" "$out/report.md"

# On two ranks, in the control, and with no checkpoint before it.
# shellcheck disable=SC2046
edgefuse_on 2 train "$deck" --out "$work/control" -q $(explode tune)
ends 7 "public only: .*not finite.*no checkpoint was made yet.*$work/control/parts"

# ---- units ---------------------------------------------------------------------------------------------------

# shellcheck disable=SC2046
edgefuse train "$deck" --out "$work/bases" -q $(explode fusion)
ends 7 'distillation: base [0-9]+: .*not finite'

# Every device diverges: each is left out, and what is left is too little to go on with.
# shellcheck disable=SC2046
edgefuse train "$deck" --out "$work/devices" -q $(explode federation) --set federation.pretrain_steps=0
ends 7 '4 of 4 devices are not finite.*lower federation.lr'
absent "$work/devices/report.json"
# shellcheck disable=SC2046
edgefuse train "$deck" --out "$work/devices" -q $(explode federation) --set federation.pretrain_steps=0 --resume
ends 7 '4 of 4 devices are not finite'
finish
