"""Several runs side by side: perplexity by method, with the differences that the validation documents support."""
import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from plotting.read import Missing, inside, number
from plotting.style import BLACK, BLUE, GREY, LIGHT, VERMILION, WIDTH, Picture, plt, styled
from results import interval

INTERVALS = (", with the 95 % interval of a paired bootstrap over the documents: a line that stays off zero is a "
             "difference that the text supports; open circles have no documents to compare.")


class Entry:
    """What a finished run says about itself."""

    def __init__(self, run):
        report = run.report
        self.run, self.method = run, str(report.get("method"))
        if report.get("recipe") == "paper":
            self.method += " (paper)"
        self.devices, self.seed = report.get("devices"), report.get("seed")
        self.score = number(inside(report, "quality", "all", "log_perplexity"))
        self.perplexity = number(inside(report, "quality", "all", "perplexity"))
        domains = sorted(name for name in report.get("quality") or {} if name != "all")
        self.text = (", ".join(domains), int(np.nan_to_num(number(inside(report, "quality", "all", "tokens")))))
        documents = run.documents()
        self.documents = None
        if documents is not None:
            self.documents = {int(d): (float(n), int(t)) for d, n, t in zip(*documents) if t > 0 and math.isfinite(n)}


def entries(runs):
    found = [Entry(run) for run in runs if run.report is not None]
    return [entry for entry in found if math.isfinite(entry.score)]


def by_text(found):
    """[(text, entries)]: only scores on the same validation text stand in one picture."""
    texts = {}
    for entry in found:
        texts.setdefault(entry.text, []).append(entry)
    return list(texts.items())


def names(found):
    """What tells the runs of a picture apart: the method, and where it must the devices, the seed, the folder."""
    parts = [[entry.method] for entry in found]
    if len({entry.devices for entry in found}) > 1:
        parts = [part + [f"{entry.devices} devices"] for part, entry in zip(parts, found)]
    if len({entry.seed for entry in found}) > 1:
        parts = [part + [f"seed {entry.seed}"] for part, entry in zip(parts, found)]
    labels = [", ".join(part) for part in parts]
    return [f"{name}: {entry.run.name}" if labels.count(name) > 1 and entry.run.name not in name else name
            for name, entry in zip(labels, found)]


def apart(entry, best):
    """(difference to the best, low, high) over the validation documents of both; None if they are not the same."""
    if entry is best or entry.documents is None or best.documents is None:
        return None
    rows = interval.pair([(entry.documents, best.documents)])
    return None if rows is None else interval.difference(*rows)


def draw_scores(axes, found):
    for place, entry in enumerate(found):
        colour = VERMILION if place == 0 else BLUE
        axes.plot(entry.perplexity, place, "o", color=colour, markersize=8)
        axes.annotate(f"{entry.perplexity:.4g}", (entry.perplexity, place), xytext=(8, 0), textcoords="offset points",
                      va="center", fontsize=9)
    values = [entry.perplexity for entry in found]
    if max(values) > 1.5 * min(values):
        axes.set_xscale("log")
        axes.set_xticks(log_ticks(min(values), max(values)))
        axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.22)
    styled(axes, "", "perplexity", "", "x")


def log_ticks(low, high):
    marks = [m * 10.0 ** e for e in range(0, 12) for m in (1, 1.5, 2, 3, 4, 5, 6, 8)]
    found = [m for m in marks if 0.8 * low <= m <= 1.25 * high]
    return found[::max(1, len(found) // 6)]


def draw_differences(axes, found):
    """True if any run has an interval."""
    some = False
    for place, entry in enumerate(found):
        value = apart(entry, found[0])
        if place == 0:
            axes.plot(0, 0, "o", color=VERMILION, markersize=7)
        elif value is None:
            axes.plot(entry.score - found[0].score, place, "o", color=GREY, markersize=7, markerfacecolor="white")
        else:
            axes.hlines(place, value[1], value[2], color=BLACK, linewidth=1.6)
            axes.plot(value[0], place, "o", color=BLUE, markersize=7)
            some = True
    axes.axvline(0, color=LIGHT, linewidth=1, zorder=0)
    styled(axes, "", "log-perplexity over the best (nat/token)", "", "x")
    return some


def perplexity(runs):
    found = entries(runs)
    if not found:
        raise Missing("no finished run has a perplexity")
    for i, (text, group) in enumerate(by_text(found)):
        group = sorted(group, key=lambda entry: entry.score)
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 1.2 + 0.32 * len(group)), sharey=True,
                                             layout="constrained", width_ratios=(1, 1))
        draw_scores(left, group)
        some = draw_differences(right, group)
        left.set_yticks(range(len(group)), names(group))
        left.set_ylim(len(group) - 0.4, -0.6)
        about = f"{text[0]}, {text[1]:,} tokens" if text[0] else f"{text[1]:,} tokens"
        yield Picture("perplexity" + (f"_{i + 1}" if i else ""), f"Perplexity by method: {about}",
                      "Left: perplexity of each run's final model on the same validation text, best on top (lower is "
                      "better). Right: how much log-perplexity each is above the best" + (INTERVALS if some else "."),
                      figure)
