"""Loss by phase: every trained unit of run.h5, in the order of a run."""
import warnings

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from plotting.read import Missing, data, label
from plotting.style import BLUE, PALETTE, VERMILION, Picture, grid, styled

PHASES = [("family", "common starts of the families"), ("base_start", "common start of the bases"),
          ("server", "server before the rounds"), ("device", "local training of the devices"),
          ("base", "distillation of the bases"), ("public_only", "control: public text alone"), ("tune", "tuning")]
FEW = 5  # units that get a line each


class Unit:
    """The series of one unit: steps, loss of the batches, loss on the holdout at the steps that looked."""

    def __init__(self, name, group):
        self.name = name
        series = "ce" if "ce" in group else group.attrs.get("signal", "ce")
        series = series.decode() if isinstance(series, bytes) else series
        self.unit = label(group, series) if series in group else ""
        step = np.asarray(data(group, "step"), dtype=float)
        self.train = finite(step, data(group, series))
        self.holdout = finite(step, data(group, "holdout")) if "holdout" in group else (np.array([]), np.array([]))

    def empty(self):
        return not len(self.train[0]) and not len(self.holdout[0])


def finite(step, values):
    values = np.asarray(values, dtype=float)
    count = min(len(step), len(values))
    kept = np.isfinite(values[:count])
    return step[:count][kept], values[:count][kept]


def smooth(step, values):
    """Means over a sixtieth of the steps, each at the middle of its window, whose size is odd."""
    window = len(values) // 60 // 2 * 2 + 1
    if window == 1:
        return step, values
    kernel = np.full(window, 1.0 / window)
    return np.convolve(step, kernel, "valid"), np.convolve(values, kernel, "valid")


def read_phases(run):
    """[(title, units)] in the order of a run; a round of devices is a phase of its own."""
    clients = run.series.get("clients")
    devices = len(clients["device"]) if clients is not None and "device" in clients else 0
    found = {}
    for name, group in run.series.get("units", {}).items():
        if "step" not in group:
            continue
        kind, _, index = name.rpartition("_")
        kind, index = (kind, int(index)) if kind and index.isdigit() else (name, 0)
        turn = index // devices if kind == "device" and devices else 0
        unit = Unit(f"{kind.replace('_', ' ')} {index}", group)
        if not unit.empty():
            found.setdefault((kind, turn), []).append(unit)
    order = {kind: (place, title) for place, (kind, title) in enumerate(PHASES)}
    several = len({turn for kind, turn in found if kind == "device"}) > 1
    phases = []
    for (kind, turn), units in sorted(found.items(), key=lambda p: (order.get(p[0][0], (99,))[0], p[0])):
        title = order[kind][1] if kind in order else kind.replace("_", " ")
        phases.append((title + (f", round {turn + 1}" if several and kind == "device" else ""), units))
    return phases


def draw_few(axes, units):
    for i, unit in enumerate(units):
        colour = PALETTE[i % len(PALETTE)]
        step, values = smooth(*unit.train)
        name = unit.name if len(units) > 1 else "training"
        if len(step) > 1:
            axes.plot(step, values, color=colour, linewidth=1.2, label=name)
        elif len(step):
            axes.plot(step, values, "o", color=colour, markersize=5, label=name)
        if len(unit.holdout[0]):
            axes.plot(*unit.holdout, color=colour if len(units) > 1 else VERMILION, linewidth=1.2,
                      linestyle=(0, (4, 2)), marker="o", markersize=3, label="holdout" if len(units) == 1 else None)
    if len(units) > 1 and any(len(unit.holdout[0]) for unit in units):
        axes.plot([], [], "k--o", linewidth=1.2, markersize=3, label="holdout")
    axes.legend()


def table(curves):
    """Curves on the union of their steps, straight between two of them; NaN before the first and behind the last."""
    steps = np.unique(np.concatenate([step for step, _ in curves]))
    return steps, np.array([np.interp(steps, step, value, left=np.nan, right=np.nan) for step, value in curves])


def draw_band(axes, curves, colour, name, style, count):
    """Median, middle half and range of many units."""
    curves = [curve for curve in curves if len(curve[0])]
    if not curves:
        return
    steps, values = table(curves)
    low, quarter, median, upper, high = np.nanpercentile(values, (0, 25, 50, 75, 100), axis=0)
    if len(steps) == 1:
        axes.plot(np.full(len(values), steps[0]), values[:, 0], "o", color=colour, markersize=5, alpha=0.5, label=name)
        return
    axes.plot(steps, low, steps, high, color=colour, linewidth=0.7, alpha=0.6)
    axes.fill_between(steps, quarter, upper, color=colour, alpha=0.25, linewidth=0)
    axes.plot(steps, median, style, color=colour, linewidth=1.8, markersize=3, label=f"{name}, median of {count}")


def draw_phase(axes, title, units):
    if len(units) <= FEW:
        draw_few(axes, units)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a step that no unit has
            draw_band(axes, [smooth(*unit.train) for unit in units], BLUE, "training", "-", len(units))
            draw_band(axes, [unit.holdout for unit in units], VERMILION, "holdout", "--o", len(units))
        axes.legend()
    styled(axes, title, "optimiser step", "")
    most = max([unit.train[0].max() for unit in units if len(unit.train[0])], default=1)
    if most <= 1:
        axes.set_xticks([1])
        axes.set_xlim(0, 2)


def as_fits(panels, values):
    """A logarithmic axis where the losses span more than a factor of ten."""
    values = values[values > 0]
    if not len(values) or values.max() <= 10 * values.min():
        return
    for axes in panels:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        axes.grid(True, axis="y", which="minor", alpha=0.12)
        axes.yaxis.set_minor_formatter(NullFormatter())


def loss(run):
    if run.series is None:
        return
    phases = read_phases(run)
    if not phases:
        raise Missing("run.h5 has no series of losses (/units)")
    figure, panels = grid(len(phases), 2.9, sharey=True)
    for axes, (title, units) in zip(panels, phases):
        draw_phase(axes, title, units)
    everything = np.concatenate([v for _, units in phases for u in units for v in (smooth(*u.train)[1], u.holdout[1])])
    as_fits(panels, everything)
    for place, axes in enumerate(panels):
        axes.tick_params(labelleft=True)
        if place % 2 == 0:
            axes.set_ylabel("cross-entropy (nat/token)")
    yield Picture("loss", "Loss by phase",
                  "Cross-entropy of every trained model against its optimiser steps, phases in the order of the "
                  "run and all on one scale. Solid: the batches it trained on, averaged over a sixtieth of the "
                  "steps. Dashed with dots: held-out text, at the steps that looked. Where many models train in "
                  "a phase: the median, the middle half (band) and the range (thin lines).", figure)
