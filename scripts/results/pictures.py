"""Pictures of a case: PNG files beside RESULTS.md."""
import math
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)

from results.pages import label  # noqa: E402
from results.runs import BOUND, CONTROL, REFERENCE  # noqa: E402

COLOURS = {"central": "#4b5563", "public_only": "#9ca3af", "fedavg": "#1d4ed8", "fedjets": "#0e7490",
           "fedkmt": "#15803d", "ofakd": "#7e22ce", "deepfusion-paper": "#ca8a04", "deepfusion-public": "#fb923c",
           "deepfusion": "#c2410c"}
OTHERS = ["#db2777", "#84cc16", "#0ea5e9", "#92400e"]


def colour(numbers, case, method):
    extra = [m for m in numbers.results.methods(case) if m not in COLOURS]
    return COLOURS.get(method) or OTHERS[extra.index(method) % len(OTHERS)]


def styled(axes, title, x, y):
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, alpha=0.3)


def points(numbers, case, value):
    """(method, sizes, values) of every method that has a finite value."""
    for method in numbers.results.methods(case):
        pairs = [(n, value(n, method)) for n in numbers.results.devices(case)]
        pairs = [(n, v) for n, v in pairs if math.isfinite(v)]
        if pairs:
            yield method, [n for n, _ in pairs], [v for _, v in pairs]


def by_devices(numbers, case):
    """Log-perplexity by the number of devices; the limits without devices are dashed."""
    figure, axes = plt.subplots(figsize=(8.5, 4.5))
    for method, sizes, values in points(numbers, case, lambda n, m: numbers.score(case, n, m)):
        axes.plot(sizes, values, "--" if method in (BOUND, CONTROL) else "-", marker="o", markersize=4,
                  label=label(method), color=colour(numbers, case, method),
                  linewidth=2.4 if method == REFERENCE else 1.4)
    sizes = numbers.results.devices(case)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    styled(axes, f"{case}: log-perplexity by devices", "devices", "log-perplexity (nat/token)")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def bytes_of_device(run):
    return (run.traffic("up_bytes") + run.traffic("down_bytes")) / run.devices


def by_cost(numbers, case):
    """What a device sends and receives against what it brings; a method that moves nothing is a line."""
    figure, axes = plt.subplots(figsize=(8.5, 4.5))
    moved = False
    for method, sizes, values in points(numbers, case, lambda n, m: numbers.score(case, n, m)):
        cost = [numbers.mean(case, n, method, bytes_of_device) for n in sizes]
        style = {"color": colour(numbers, case, method), "label": label(method)}
        if not any(c > 0 for c in cost):
            axes.axhline(min(values), linestyle="--", linewidth=1.2, **style)
            continue
        moved = True
        axes.plot(cost, values, "o", markersize=6, **style)
        for c, v, n in zip(cost, values, sizes):
            axes.annotate(str(n), (c, v), xytext=(5, 3), textcoords="offset points", fontsize=7)
    if moved:
        axes.set_xscale("log")
    styled(axes, f"{case}: cost and log-perplexity (numbers: devices)", "bytes of a device, up and down",
           "log-perplexity (nat/token)")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def by_gap(numbers, case):
    """Share of the gap between public text alone and all text together that each method closes."""
    rows = [row for row in points(numbers, case, lambda n, m: numbers.gap(case, n, m)) if row[0] not in (BOUND, CONTROL)]
    if not rows:
        return None
    all_sizes = numbers.results.devices(case)
    figure, axes = plt.subplots(figsize=(8.5, 4.5))
    width = 0.8 / len(rows)
    for i, (method, sizes, values) in enumerate(rows):
        left = [all_sizes.index(n) - 0.4 + (i + 0.5) * width for n in sizes]
        axes.bar(left, [100 * v for v in values], width, label=label(method), color=colour(numbers, case, method))
    axes.axhline(0, color="k", linewidth=0.8)
    axes.set_xticks(range(len(all_sizes)), [str(n) for n in all_sizes])
    styled(axes, f"{case}: gap closed between public text alone and all text", "devices", "gap closed (%)")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


PICTURES = [("devices", "log-perplexity by devices", by_devices), ("cost", "cost and log-perplexity", by_cost),
            ("gap", "gap closed", by_gap)]


def draw(numbers, folder, below=""):
    """Writes the pictures of all cases into `below` of folder; case -> [(path from folder, title)]."""
    drawn = {}
    os.makedirs(os.path.join(folder, below), exist_ok=True)
    for case in numbers.results.cases:
        for name, title, picture in PICTURES:
            figure = picture(numbers, case)
            if figure is None:
                continue
            figure.tight_layout()
            file = os.path.join(below, f"{case}_{name}.png")
            figure.savefig(os.path.join(folder, file), dpi=110, metadata={"Software": None})
            plt.close(figure)
            drawn.setdefault(case, []).append((file, title))
    return drawn
