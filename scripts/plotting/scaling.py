"""One method on several numbers of ranks: how much faster it gets, and where the ranks' time goes."""
import math

import numpy as np

from plotting.read import Missing, inside, number
from plotting.style import BLUE, GREY, LIGHT, MARKERS, PALETTE, VERMILION, WIDTH, Picture, legend_below, plt, styled

PARTS = (("computing", "compute_seconds", BLUE), ("exchange", "exchange_seconds", VERMILION),
         ("waiting for the slowest", "wait_seconds", LIGHT))
LEAST_SHARE = 0.02  # of the time on the fewest ranks: a shorter phase has no curve of its own


def by_ranks(runs):
    """[(ranks, report)] in ascending order, if the runs are one method on different numbers of ranks."""
    reports = [run.report for run in runs if run.report is not None and run.report.get("phases")]
    ranks = [report.get("ranks") for report in reports]
    if len({report.get("method") for report in reports}) != 1 or len(set(ranks)) != len(ranks) or len(ranks) < 2:
        raise Missing("these are not runs of one method on different numbers of ranks")
    return sorted(zip(ranks, reports), key=lambda entry: entry[0])


def phases_of(report):
    return {inside(phase, "name"): phase for phase in report["phases"]}


def total(report, key):
    return math.fsum(np.nan_to_num(number(inside(phase, key))) for phase in report["phases"])


def speed(part):
    """Tokens a second of a phase; NaN where it trains on none."""
    seconds, tokens = number(inside(part, "seconds")), number(inside(part, "tokens"))
    return tokens / seconds if seconds > 0 and tokens > 0 else math.nan


def curves(found):
    """[(name, tokens a second by number of ranks)]: all phases together first, then those that count."""
    whole = [total(report, "tokens") / total(report, "seconds") for _, report in found]
    first = phases_of(found[0][1])
    enough = LEAST_SHARE * total(found[0][1], "seconds")
    named = [name for name, phase in first.items() if number(inside(phase, "seconds")) >= enough]
    parts = [(name, [speed(phases_of(report).get(name)) for _, report in found]) for name in named]
    return [("all phases", whole)] + [(name, values) for name, values in parts if math.isfinite(values[0])]


def draw_speed(axes, found):
    ranks = np.array([count for count, _ in found], dtype=float)
    axes.plot(ranks, ranks / ranks[0], color=LIGHT, linestyle="--", zorder=0, label="as many times faster as ranks")
    for i, (name, values) in enumerate(curves(found)):
        axes.plot(ranks, np.array(values) / values[0], color=PALETTE[i % len(PALETTE)], linewidth=2.2 if i == 0 else 1.2,
                  marker=MARKERS[i % len(MARKERS)], markersize=5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(ranks, [f"{count:g}" for count in ranks])
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.minorticks_off()
    styled(axes, "", "ranks", f"tokens a second, over {ranks[0]:g} rank{'' if ranks[0] == 1 else 's'}")


def draw_time(axes, found):
    places, left = range(len(found)), np.zeros(len(found))
    for name, key, colour in PARTS:
        values = np.array([total(report, key) for _, report in found])
        axes.bar(places, values, bottom=left, color=colour, width=0.6, label=name)
        left += values
    planned = [number(inside(report, "plan_error", "time", "planned_seconds")) for _, report in found]
    axes.scatter(places, planned, marker="_", s=500, color=GREY, label="planned", zorder=3)
    axes.set_xticks(places, [str(count) for count, _ in found])
    styled(axes, "", "ranks", "seconds of a rank (mean)", "y")
    for place, height in zip(places, left):
        axes.annotate(f"{height:.3g}", (place, height), xytext=(0, 2), textcoords="offset points", ha="center",
                      fontsize=8.5, color=GREY)


def scaling(runs):
    found = by_ranks(runs)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.4), layout="constrained", width_ratios=(1.2, 1))
    draw_speed(left, found)
    draw_time(right, found)
    legend_below(figure, [*left.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]], 4)
    yield Picture("scaling", "Scaling over ranks",
                  "Left: tokens trained on in a second, all phases together and each that takes 2 % of the time or more, "
                  "against the run on the fewest ranks; the dashed line is as many times faster as there are more ranks. "
                  "Right: the mean time of a rank; exchange is time in calls that move data, the other side's delay "
                  "included.", figure)


def rows(runs):
    """Counters of every phase on every number of ranks, for the page; empty if this is no scaling."""
    try:
        found = by_ranks(runs)
    except Missing:
        return []
    keys = (("seconds", "{:,.2f}"), ("tokens_per_s", "{:,.0f}"), ("compute_seconds", "{:,.2f}"),
            ("exchange_seconds", "{:,.2f}"), ("wait_seconds", "{:,.2f}"), ("exchange_bytes", "{:,.0f}"),
            ("imbalance", "{:.2f}"))
    return [[f"{inside(phase, 'name')}", str(ranks)] +
            [form.format(number(inside(phase, key))) if math.isfinite(number(inside(phase, key))) else "–"
             for key, form in keys]
            for name in phases_of(found[0][1]) for ranks, report in found
            for phase in [phases_of(report).get(name)] if phase]


HEAD = ["phase", "ranks", "seconds", "tokens/s", "computing (s)", "exchange (s)", "waiting (s)", "bytes exchanged",
        "imbalance"]
