"""Pictures of market.h5: mechanisms side by side, sweeps, and the auction that ends a training."""
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from plotting.read import Missing, data, label, text
from plotting.style import (BLACK, BLUE, GREEN, GREY, LIGHT, MARKERS, ORANGE, PURPLE, SKY, VERMILION, WIDTH, Picture,
                            grid, legend_below, plt, single, styled)

COLOURS = {"aeria": VERMILION, "yes": BLUE, "under consensus": SKY, "no": LIGHT, "benchmark": GREY}
MEANING = {"aeria": "AERIA", "yes": "truthful", "under consensus": "truthful under consensus", "no": "not truthful",
           "benchmark": "knows the values"}
OTHERS = [BLUE, GREEN, PURPLE, ORANGE, SKY, GREY, BLACK]
LINES = 5  # mechanisms in one picture of curves


class Mechanisms:
    """Names, claims and colours, in the order of the axis `mechanism`."""

    def __init__(self, market):
        simulation = market["simulation"]
        self.names = text(simulation, "mechanisms").split(",")
        self.aeria = text(simulation, "aeria")
        truth = text(simulation, "truthful").split(",")
        benchmark = text(simulation, "benchmark").split(",")
        self.kinds = ["benchmark" if b == "yes" else t for t, b in zip(truth, benchmark)]

    def kind(self, m):
        return "aeria" if self.names[m] == self.aeria else self.kinds[m]

    def rivals(self):
        return [m for m, kind in enumerate(self.kinds) if kind == "yes" and self.names[m] != self.aeria]

    def best(self, score):
        """Indices for curves: AERIA and the best truthful others by this score, not more than LINES."""
        rivals = sorted(self.rivals(), key=lambda m: -np.nan_to_num(score[m], nan=-np.inf))
        own = [m for m, name in enumerate(self.names) if name == self.aeria]
        return own + rivals[: LINES - len(own)]

    def style(self, m):
        """Colour, marker and width of a mechanism's curve, the same in every picture."""
        if self.kind(m) == "aeria":
            return {"color": COLOURS["aeria"], "marker": MARKERS[0], "linewidth": 2.4, "zorder": 3}
        place = self.rivals().index(m)
        return {"color": OTHERS[place % len(OTHERS)], "marker": MARKERS[1 + place % (len(MARKERS) - 1)],
                "linewidth": 1.2, "linestyle": "-" if place < len(OTHERS) else (0, (5, 2))}


# ---- mechanisms side by side ----------------------------------------------------------------------------------------


def bars(axes, mechanisms, values, least=None, ranges=None):
    """Mechanisms from best to worst; the least value of any slot as a mark, or the range of most slots as a line."""
    order = np.argsort(np.nan_to_num(values, nan=-np.inf), kind="stable")
    for place, m in enumerate(order):
        axes.barh(place, np.nan_to_num(values[m]), height=0.72, color=COLOURS[mechanisms.kind(m)])
    places = np.arange(len(order))
    if least is not None:
        axes.plot(least[order], places, "|", color=BLACK, markersize=8, markeredgewidth=1.8)
    if ranges is not None:
        axes.hlines(places, ranges[0][order], ranges[1][order], color="white", linewidth=2.6)
        axes.hlines(places, ranges[0][order], ranges[1][order], color=BLACK, linewidth=1.3)
    axes.set_yticks(places, [mechanisms.names[m] for m in order], fontsize=8)
    axes.set_ylim(-0.6, len(order) - 0.4)


def legend_of_kinds(figure, mechanisms, mark=None):
    kinds = {mechanisms.kind(m) for m in range(len(mechanisms.names))}
    handles = [Patch(color=COLOURS[kind], label=MEANING[kind]) for kind in COLOURS if kind in kinds]
    if mark:
        handles.append(mark)
    legend_below(figure, handles)


def summaries(market):
    return [(name, group) for name, group in market["simulation"].items() if "summary" in group]


def ratio(run):
    if run.market is None or "simulation" not in run.market:
        return
    mechanisms, found = Mechanisms(run.market), summaries(run.market)
    figure, panels = grid(len(found), 3.5)
    for axes, (name, group) in zip(panels, found):
        bars(axes, mechanisms, data(group["summary"], "ratio_mean"), data(group["summary"], "ratio_min"))
        styled(axes, name, "profit over the benchmark F2", "", "x")
    legend_of_kinds(figure, mechanisms, Line2D([], [], color=BLACK, marker="|", linestyle="", markersize=8,
                                               markeredgewidth=1.8, label="least of any slot"))
    yield Picture("ratio", "Profit over the benchmark",
                  "Mean profit of each mechanism as a share of F2, the most that one price for at least two "
                  "buyers could earn with the values known; best on top, one panel a network. All mechanisms see "
                  "the same users and coins.", figure)


def slot_range(group, name):
    """10 % and 90 % quantiles over the slots, by mechanism; None where the file has no slots."""
    if "slots" not in group or name not in group["slots"]:
        return None
    slots = np.asarray(group["slots"][name][()], dtype=float)
    kept = slots[:, np.all(np.isfinite(slots), axis=0)]
    return np.quantile(kept, (0.1, 0.9), axis=1) if kept.shape[1] > 1 else None


def revenue(run):
    if run.market is None or "simulation" not in run.market:
        return
    mechanisms, found = Mechanisms(run.market), summaries(run.market)
    figure, panels = grid(len(found), 3.5)
    ranges = [slot_range(group, "revenue") for _, group in found]
    for axes, (name, group), spread in zip(panels, found, ranges):
        bars(axes, mechanisms, data(group["summary"], "revenue"), ranges=spread)
        styled(axes, name, "revenue of a slot (money)", "", "x")
    some = any(spread is not None for spread in ranges)
    line = Line2D([], [], color=BLACK, linewidth=1.3, label="8 of 10 slots")
    legend_of_kinds(figure, mechanisms, line if some else None)
    yield Picture("revenue", "Revenue by mechanism",
                  "What the buyers of a slot pay together, mean over the slots; highest on top, one panel a network."
                  + (" The black line holds eight of ten slots (10 % to 90 % quantile): the slots differ in "
                     "users and prices."
                     if some else "")
                  + " High revenue of a mechanism that is not truthful counts on users who bid what they think.",
                  figure)


def window_of(slots):
    """Slots that a running mean takes together: one, or an odd number of about a fourteenth of many."""
    return 1 if slots <= 48 else slots // 28 * 2 + 1


def running(values, window):
    return np.convolve(values, np.full(window, 1.0 / window), "valid")


def profit(run):
    if run.market is None or "simulation" not in run.market:
        return
    mechanisms = Mechanisms(run.market)
    for workload, group in summaries(run.market):
        values, cost = data(group["slots"], "profit"), data(group["traffic"], "unit_cost")
        slots, window = np.arange(values.shape[1]), window_of(values.shape[1])
        figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 4.6), sharex=True, height_ratios=(3, 1),
                                              layout="constrained")
        for m in mechanisms.best(data(group["summary"], "ratio_mean")):
            if window > 1 and mechanisms.kind(m) == "aeria":
                above.plot(slots, values[m], ".", color=COLOURS["aeria"], alpha=0.35, markersize=4)
            above.plot(running(slots, window), running(values[m], window), label=mechanisms.names[m], markersize=4,
                       markevery=max(1, len(slots) // 24), **mechanisms.style(m))
        styled(above, "", "", "profit (money)")
        above.legend(ncols=LINES, loc="lower left", bbox_to_anchor=(0, 1))
        below.step(slots, cost, where="mid", color=BLACK, linewidth=1.2)
        styled(below, "", "slot", "unit cost\n(money)")
        yield Picture(f"profit_{workload}", f"Profit by slot: {workload}",
                      "Above: profit of each slot, AERIA (bold) and the truthful mechanisms that do best on "
                      f"{workload}. Below: the cost of a unit, which follows the price of electricity."
                      + (f" Lines are running means over {window} slots, dots the slots of AERIA."
                         if window > 1 else ""),
                      figure)


def sweep(run):
    if run.market is None or "sweep" not in run.market:
        return
    mechanisms = Mechanisms(run.market)
    for kind, group in run.market["sweep"].items():
        figure, panels = grid(len(group), 2.9)
        for axes, (workload, points) in zip(panels, group.items()):
            draw_sweep(axes, mechanisms, workload, points)
        handles = {h.get_label(): h for axes in panels for h in axes.get_lines()}
        legend_below(figure, list(handles.values()), 7)
        yield Picture(f"sweep_{kind}", f"Sweep of {kind}",
                      "Mean profit as a share of the benchmark F2 while one setting varies: AERIA (bold) and the "
                      "truthful mechanisms that do best on each network.", figure)


def draw_sweep(axes, mechanisms, workload, group):
    points, ratios = data(group, "point"), data(group, "ratio_mean")
    for m in mechanisms.best(ratios.mean(axis=0)):
        axes.plot(points, ratios[:, m], label=mechanisms.names[m], markersize=4, **mechanisms.style(m))
    styled(axes, workload, label(group, "point"), "profit over F2")
    if points.min() > 0 and points.max() >= 4 * points.min():
        axes.set_xscale("log")
    axes.set_xticks(points, [f"{x:.3g}" for x in points], fontsize=8, rotation=30 if len(points) > 6 else 0)
    axes.minorticks_off()


# ---- the auction that ends a training -------------------------------------------------------------------------------


def auction(run):
    """What every device bid and paid for a unit, with its demand as the width of its bar."""
    group = run.market.get("auction") if run.market else None
    if group is None:
        return
    units, won = data(group, "units"), data(group, "payment") > 0
    bids, price = data(group, "bid"), data(group, "unit_price")
    bidders = np.flatnonzero(units > 0)
    if not len(bidders):
        raise Missing("no device bid for the edge")
    order = bidders[np.argsort(-bids[bidders] / units[bidders], kind="stable")]
    left = np.concatenate([[0], np.cumsum(units[order])])
    figure, axes = single(3.4)
    axes.bar(left[:-1], bids[order] / units[order], units[order], align="edge",
             color=[COLOURS["aeria"] if w else LIGHT for w in won[order]], edgecolor="white", linewidth=0.6)
    winners = won[order]
    axes.hlines(price[order][winners], left[:-1][winners], left[1:][winners], color=BLACK, linewidth=2)
    if len(order) <= 40:
        for device, x in zip(order, (left[:-1] + left[1:]) / 2):
            axes.annotate(f"{device}", (x, 0), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=8)
    axes.axvline(group.attrs["capacity"], color=BLUE, linestyle="--", linewidth=1.5)
    axes.legend(handles=[Patch(color=COLOURS["aeria"], label="wins"), Patch(color=LIGHT, label="does not win"),
                         Line2D([], [], color=BLACK, linewidth=2, label="price paid"),
                         Line2D([], [], color=BLUE, linestyle="--", label="capacity")], ncols=4, loc="lower left",
                bbox_to_anchor=(0, 1))
    styled(axes, "", "demand (units)", "bid per unit (money)", "y")
    yield Picture("auction", "The auction that ends the training",
                  "Every device that asks for inference at the edge, highest bid per unit first: the width of a "
                  "bar is its demand, the height its bid, the number at its foot the device, the black line the "
                  "price that a winner pays.", figure)


def exits(run):
    group = run.market.get("policies") if run.market else None
    if group is None:
        return
    order = np.argsort(data(group, "threshold"), kind="stable")
    early, accuracy = 100 * data(group, "leave_early")[order], 100 * data(group, "accuracy")[order]
    figure, axes = single(3.4, 6.0)
    axes.plot(early, accuracy, "o-", color=BLUE)
    last = None
    for x, y, threshold in zip(early, accuracy, data(group, "threshold")[order]):
        if last is None or abs(x - last[0]) > 0.05 * np.ptp(early) or abs(y - last[1]) > 0.08 * np.ptp(accuracy):
            axes.annotate(f"{threshold:g}", (x, y), xytext=(4, 5), textcoords="offset points", fontsize=8)
            last = (x, y)
    styled(axes, "", "tokens that leave early (%)", "token accuracy (%)")
    axes.margins(0.08)
    yield Picture("exits", "Early exits",
                  "Token accuracy that is left against the share of tokens that leave at an early exit; the "
                  "numbers are the thresholds of confidence from which a token leaves.", figure)
