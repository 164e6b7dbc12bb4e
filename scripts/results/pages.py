"""RESULTS.md of a folder of runs, and the numbers behind it."""
import math
import re

from results import interval
from results.runs import BOUND, CONTROL, LABELS, REFERENCE

NOTHING, NOT_RUN = "-", "not run"


def fixed(digits, factor=1.0, sign=""):
    return lambda value: NOTHING if not math.isfinite(value) else f"{value * factor:{sign}.{digits}f}"


def whole(value):
    return NOTHING if not math.isfinite(value) else f"{round(value):,}"


def power(value):
    return NOTHING if not math.isfinite(value) else f"{value:.3g}".replace("e+", "e")


def table(head, rows):
    """A Markdown table: the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|:--" + "|--:" * (len(head) - 1) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def without_paths(command):
    """A command line without the folders of this machine: of an absolute path the last name is left."""
    return re.sub(r"(^|[ =])/(?:[^ /]*/)*", r"\1", command)


def label(method):
    return LABELS.get(method, method)


class Numbers:
    """Every number of the tables: means over seeds, intervals, gaps; NaN where a run is missing."""

    def __init__(self, results):
        self.results = results
        self.kept = {}

    def mean(self, case, n, method, value):
        return interval.mean(value(run) for run in self.results.of(case, n, method).values())

    def score(self, case, n, method):
        """Mean log-perplexity over seeds."""
        return self.mean(case, n, method, lambda run: run.quality("log_perplexity"))

    def apart(self, case, n, method):
        """(difference to the reference, low, high) over the seeds that both have; NaN without scores by document."""
        key = (case, n, method)
        if key not in self.kept:
            mine, other = self.results.of(case, n, method), self.results.of(case, n, REFERENCE)
            runs = [(mine[s].documents, other[s].documents) for s in mine if s in other]
            rows = interval.pair(runs) if runs and all(a and b for a, b in runs) else None
            self.kept[key] = interval.difference(*rows) if rows else (math.nan,) * 3
        return self.kept[key]

    def gap(self, case, n, method):
        """Gap closed, of means over the seeds that all three have."""
        runs = [self.results.of(case, n, name) for name in (CONTROL, method, BOUND)]
        seeds = [s for s in runs[0] if all(s in of_method for of_method in runs)]
        means = [interval.mean(of_method[s].quality("log_perplexity") for s in seeds) for of_method in runs]
        return interval.gap_closed(*means) if seeds else math.nan


# Title, what it is, the value of a run, its format.
QUANTITIES = [
    ("Token accuracy", "%, of all tokens of the validation text.",
     lambda results, run: run.quality("token_accuracy"), fixed(2, 100)),
    ("Bytes up", "Of all devices together.", lambda results, run: run.traffic("up_bytes"), whole),
    ("Bytes down", "To all devices together.", lambda results, run: run.traffic("down_bytes"), whole),
    ("Device memory", "MB, the most that any device needs while it trains.",
     lambda results, run: run.device_memory(), fixed(1, 1e-6)),
    ("Server work", "FLOP.", lambda results, run: results.effort(run, "flops", devices=False), power),
    ("Device work", "FLOP, all devices together.",
     lambda results, run: results.effort(run, "flops", devices=True), power),
    ("Time", "Seconds in the phases of the run; whatever else the machine did meanwhile made them more.",
     lambda results, run: results.effort(run, "seconds"), whole),
    ("Server steps", "Optimiser steps, in all.", lambda results, run: run.row("total_steps"), whole),
    ("Server steps in sequence", "Optimiser steps along the longest chain.",
     lambda results, run: run.row("sequential_steps"), whole),
    ("Server tokens", "Trained on.", lambda results, run: run.row("server_tokens"), whole),
    ("Device tokens", "Trained on, all devices together.",
     lambda results, run: run.row("device_tokens"), whole),
]


class Page:
    def __init__(self, results):
        self.results, self.numbers = results, Numbers(results)

    def cell(self, case, n, method, shown):
        """Text of a cell, with the number of its seeds where it has fewer than others."""
        runs, seeds = self.results.of(case, n, method), self.results.seeds(case)
        if not runs:
            return NOTHING
        return shown() + (f" ({len(runs)} of {len(seeds)} seeds)" if len(runs) < len(seeds) else "")

    def rows(self, case, shown):
        """One row a method; a method without any run says so."""
        out = []
        for method in self.results.methods(case):
            sizes = self.results.devices(case)
            cells = [self.cell(case, n, method, lambda n=n, m=method: shown(n, m)) for n in sizes]
            known = any(self.results.of(case, n, method) for n in sizes)
            out.append([label(method)] + (cells if known else [NOT_RUN] * len(sizes)))
        return out

    def head(self, case):
        return ["method"] + [f"N = {n}" for n in self.results.devices(case)]

    def score(self, case):
        def shown(n, method):
            text = fixed(4)(self.numbers.score(case, n, method))
            apart, low, high = self.numbers.apart(case, n, method)
            if method == REFERENCE or not math.isfinite(apart):
                return text
            return f"{text} ({apart:+.4f}: {low:+.4f} to {high:+.4f})"

        best = [self.cell(case, n, REFERENCE, lambda n=n: fixed(4)(self.numbers.mean(
            case, n, REFERENCE, lambda run: run.best_device("log_perplexity")))) for n in self.results.devices(case)]
        return ["### Log-perplexity", "",
                f"Nat per token of the validation text, mean over seeds (difference to {label(REFERENCE)}: its "
                "95 % interval).",
                ""] + table(self.head(case), self.rows(case, shown) + [["best single device"] + best])

    def gap(self, case):
        def shown(n, method):
            return fixed(1, 100)(self.numbers.gap(case, n, method))

        return ["### Gap closed", "", f"%, ({CONTROL} - method) / ({CONTROL} - {BOUND}) in log-perplexity.",
                ""] + table(self.head(case), self.rows(case, shown))

    def quantity(self, case, title, meaning, value, form):
        def shown(n, method):
            return form(self.numbers.mean(case, n, method, lambda run: value(self.results, run)))

        return [f"### {title}", "", meaning, ""] + table(self.head(case), self.rows(case, shown))

    # ---- tasks

    def mcq(self, scores):
        """Shares of multiple choice; the interval is that of the items, the same ones for all seeds."""
        items = interval.mean(float(score["items"]) for score in scores)
        cells, shown = [whole(items)], fixed(1, 100)
        for key in ("accuracy", "accuracy_normalised", "accuracy_normalised_bytes"):
            share = interval.mean(score.get(key) for score in scores)
            low, high = interval.wilson(share, items)
            cells.append(f"{shown(share)} ({shown(low)} to {shown(high)})" if math.isfinite(share) else NOTHING)
        return cells + [shown(interval.mean(score.get("chance") for score in scores))]

    def qa(self, scores):
        return [whole(interval.mean(float(score["items"]) for score in scores)),
                fixed(4)(interval.mean(score.get("log_perplexity") for score in scores)),
                fixed(2, 100)(interval.mean(score.get("token_accuracy") for score in scores))]

    def tasks(self, case):
        heads = {"mcq": ["items", "accuracy", "by tokens", "by bytes", "chance"],
                 "qa": ["items", "log-perplexity of the answers", "token accuracy"]}
        titles = {"mcq": "multiple choice (%, with the 95 % interval of the items)",
                  "qa": "open answers (nat per token, %)"}
        lines = []
        for n in self.results.devices(case):
            for task, form in (("mcq", self.mcq), ("qa", self.qa)):
                rows, any_run = [], False
                for method in self.results.methods(case):
                    runs = self.results.of(case, n, method)
                    scores = [run.tasks[task]["all"] for run in runs.values() if task in run.tasks]
                    any_run = any_run or bool(scores)
                    blank = [NOTHING if runs else NOT_RUN] * len(heads[task])
                    rows.append([label(method)] + (form(scores) if scores else blank))
                if any_run:
                    lines += [f"### Task: {titles[task]}, N = {n}", ""] + table(["method"] + heads[task], rows)
        return lines

    # ---- how it was made

    def commands(self, case):
        """The command of each row; what differs between runs of a row stands as N and S."""
        lines, seen = [], set()
        for key, run in self.runs_of(case):
            words, deck = [], "DECK"
            for word, rest in run.settings:
                rest = without_paths(rest)
                if word == "deck":
                    deck = f"inputs/{rest.split()[0]}"
                elif word == "method":
                    words.append(f"--method {rest}")
                elif rest.startswith("federation.devices="):
                    words.append("--set federation.devices=N")
                elif rest.startswith("run.seed="):
                    words.append("--set run.seed=S")
                else:
                    words.append(f"--set {rest}")
            line = f"edgefuse train {deck} " + " ".join(words)
            if words and (key[3], line) not in seen:
                seen.add((key[3], line))
                lines.append(line)
        return ["```sh"] + lines + ["```", ""] if lines else []

    def runs_of(self, case):
        order = self.results.methods(case)
        runs = [(key, run) for key, run in self.results.runs.items() if key[0] == case]
        return sorted(runs, key=lambda item: (order.index(item[0][3]), item[0]))

    def hashes(self, case):
        rows = [[label(key[3]), str(key[1]), str(key[2]), f"`{run.report.get('deck_hash', NOTHING)}`",
                 str(run.revision or NOTHING), fixed(1)(run.report.get("sgemm_peak_gflops") or math.nan)]
                for key, run in self.runs_of(case)]
        head = ["method", "N", "seed", "hash of deck, seed and text", "revision", "SGEMM peak of a rank (GFLOP/s)"]
        return table(head, rows)

    def machine(self):
        shown = {"cpu": "Processor", "kernels": "BLAS kernels", "cores": "Cores", "ranks": "Ranks"}
        told = self.results.machine
        lines = [f"- {name}: {told[key]}" for key, name in shown.items() if key in told]
        return lines + ([f"- Command: `{without_paths(told['command'])}`"] if "command" in told else []) + [""]

    def unfinished(self):
        if not self.results.unfinished:
            return []
        names = [f"{case} N={n} seed={seed} {method}" for case, n, seed, method in self.results.unfinished]
        return ["Without a result, for they failed or were interrupted: " + ", ".join(names) + ".", ""]

    def case(self, case, pictures):
        lines = [f"## {case}", ""]
        for path, title in pictures:
            lines += [f"![{title}]({path})", ""]
        lines += self.score(case) + self.gap(case)
        for quantity in QUANTITIES:
            lines += self.quantity(case, *quantity)
        return lines + self.tasks(case)

    def text(self, pictures):
        lines = ["# Results", "", NOTES, ""] + self.unfinished()
        for case in self.results.cases:
            lines += self.case(case, pictures.get(case, []))
        lines += ["## How they were made", ""] + self.machine()
        for case in self.results.cases:
            lines += [f"### {case}", ""] + self.commands(case) + self.hashes(case)
        return "\n".join(lines).rstrip() + "\n"


NOTES = f"""Lower log-perplexity is better. {label(BOUND)} trains the global model on public and private text together;
{label(CONTROL)} trains it on the public text alone. Intervals: {interval.RESAMPLES:,} resamples of the documents of the
validation text, paired, with their tokens of all seeds pooled; they say what another validation text of this kind would
change, not what other seeds would. `-`: not measured; `{NOT_RUN}`: no run of this method. Work and time of a phase that
several methods have in common (starts, local training, the rivals' server) are counted in full in each of them, though it
was computed once; evaluation is not counted."""
