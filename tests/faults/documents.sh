#!/bin/bash
# Scores by document: they add up to the report's quality, have the same bits on 1, 2 and 3 ranks, survive --resume of
# a finished run, and are absent where not all text is scored. Effort: the log's phases by place.
# shellcheck source=tests/faults/lib.sh
. "$(dirname "$0")/lib.sh"

python=${PYTHON:-python3}
command -v "$python" >/dev/null || {
  skip 'no python3'
  finish
}

# sums FOLDER: what is wrong with /validation of its run.h5 beside its report.json; nothing if all is well.
sums() {
  edgefuse inspect "$1/run.h5" --json
  ends 0
  "$python" - "$work/out" "$1/report.json" <<'PYTHON'
import json, sys
data = {d["path"]: d for d in json.load(open(sys.argv[1]))["datasets"] if d["path"].startswith("/validation/")}
whole = json.load(open(sys.argv[2]))["quality"]["all"]
if set(data) != {"/validation/" + n for n in ("nll", "tokens", "hits", "document", "domain")}:
    sys.exit(print("datasets", *data))
count = data["/validation/nll"]["shape"][0]
total = {name: d["mean"] * count for name, d in data.items()}
tokens, hits = round(total["/validation/tokens"]), round(total["/validation/hits"])
if tokens != whole["tokens"]:
    print(tokens, "tokens, not", whole["tokens"])
if abs(hits / tokens - whole["token_accuracy"]) > 1e-9:
    print("accuracy", hits / tokens, "not", whole["token_accuracy"])
if abs(total["/validation/nll"] / tokens / whole["log_perplexity"] - 1) > 1e-9:
    print("log-perplexity", total["/validation/nll"] / tokens, "not", whole["log_perplexity"])
PYTHON
}

# validation FOLDER: statistics of the datasets by document, to their last digit.
validation() {
  edgefuse inspect "$1/run.h5" --json
  "$python" -c 'import json, sys
print([d for d in json.load(sys.stdin)["datasets"] if d["path"].startswith("/validation/")])' <"$work/out"
}

# effort FOLDER: report.json's figures beside the sums over its log.
effort() {
  "$python" - "$1" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1] + "/report.json"))
log = [json.loads(line) for line in open(sys.argv[1] + "/metrics.jsonl")]
phases = [e for e in log if e["event"] == "phase"]
for place, key in (("server", "server"), ("devices", "device")):
    for field in ("flops", "seconds"):
        wanted = sum(p[field] for p in phases if p["place"] == place)
        if wanted <= 0 or abs(report[f"{key}_{field}"] / wanted - 1) > 1e-6:
            print(f"{key}_{field}", report[f"{key}_{field}"], "not", wanted)
on_devices = {p["name"] for p in phases if p["place"] == "devices"}
if on_devices != {"local training"}:
    print("on devices:", *sorted(on_devices))
PYTHON
}

all=(--set eval.windows=0 --set text.validation_share=0.4)
for ranks in 1 2 3; do
  edgefuse_on "$ranks" train "$deck" --out "$work/on-$ranks" -q "${all[@]}"
  ends 0
  verdict "sums over documents on $ranks ranks" "$(sums "$work/on-$ranks")"
  [ "$ranks" -gt 1 ] || alone=$(validation "$work/on-1")
  verdict "documents on $ranks ranks as on one" "$([ "$(validation "$work/on-$ranks")" = "$alone" ] || echo 'they differ')"
done
verdict 'effort as in the log' "$(effort "$work/on-2")"
verdict 'a table' "$(grep -q '^## Effort' "$work/on-2/report.md" || echo none)"

# A finished run that is resumed, on other ranks, has them again.
before=$(validation "$work/on-2")
rm "$work/on-2/run.h5" "$work/on-2/report.json"
edgefuse_on 3 train "$deck" --out "$work/on-2" -q --resume "${all[@]}"
ends 0
verdict 'documents after resume' "$([ "$before" = "$(validation "$work/on-2")" ] || echo 'they differ')"
verdict 'sums after resume' "$(sums "$work/on-2")"

# Some of the text only: no scores by document.
edgefuse train "$deck" --out "$work/some" -q
ends 0
edgefuse inspect "$work/some/run.h5"
verdict 'no group validation' "$(grep '^ *validation/' "$work/out")"
finish
