"""What a training came to: quality stage by stage, and the bytes that crossed."""
import math
import re

import numpy as np
from matplotlib.ticker import FuncFormatter

from plotting.read import Missing, data, inside, number, text
from plotting.style import (BLACK, BLUE, GREEN, GREY, LIGHT, ORANGE, PURPLE, SKY, VERMILION, Picture, bytes_text, grid,
                            single, styled)

MANY = {"device": "device uploads", "proxy": "proxies", "base": "bases"}  # one row of the report each, one stage
CONTROLS = {"merged starts": "merged starts\n(control)", "public_only": "public text alone\n(control)"}


# ---- quality --------------------------------------------------------------------------------------------------------


def stages(rows):
    """[(title, values, control)]: rows of a kind together, in the order of the report, controls last."""
    found = {}
    for name, value in rows:
        kind = re.sub(r" \d+$", "", name)
        title = MANY.get(kind) or CONTROLS.get(name) or name
        found.setdefault((name in CONTROLS, title), []).append(value)
    return [(title, values, control) for (control, title), values in sorted(found.items(), key=lambda p: p[0][0])]


def spread(count):
    """Places of the points of a stage, side by side and symmetric."""
    return np.linspace(-0.22, 0.22, count) if count > 1 else np.zeros(1)


def draw_stages(axes, found):
    best = min(v for _, values, _ in found for v in values)
    for place, (_, values, control) in enumerate(found):
        values = sorted(values)
        axes.plot(place + spread(len(values)), values, "D" if control else "o", markersize=6 if len(values) < 40 else 3,
                  color=GREY if control else BLUE, alpha=1 if len(values) == 1 else 0.6, linewidth=0)
        if len(values) > 1:
            axes.plot([place - 0.27, place + 0.27], [np.mean(values)] * 2, color=BLACK, linewidth=1.5)
        if len(found) <= 12:
            beside = len(values) > 1
            axes.annotate(f"{np.mean(values):.3f}", (place + 0.27 * beside, np.mean(values)), fontsize=8.5,
                          textcoords="offset points", xytext=(3, 0) if beside else (0, 6),
                          ha="left" if beside else "center", va="center" if beside else "bottom")
    axes.axhline(best, color=VERMILION, linewidth=0.9, linestyle=":")


def quality(run):
    if run.series is None and run.report is None:
        return
    found = stages(run.rows())
    if not found:
        raise Missing("report.json: no model of the run was measured")
    figure, axes = single(3.9)
    draw_stages(axes, found)
    styled(axes, "", "", "log-perplexity (nat/token)", "y")
    step = -(-len(found) // 16)
    axes.set_xticks(range(0, len(found), step), [title for title, _, _ in found][::step])
    if len(found) > 8:
        axes.tick_params(axis="x", rotation=35)
    axes.set_xlim(-0.6, len(found) - 0.4)
    axes.margins(y=0.15)
    other = axes.secondary_yaxis("right", functions=(lambda y: np.exp(np.minimum(y, 700.0)),
                                                     lambda p: np.log(np.maximum(p, 1e-300))))
    other.set_yscale("log")
    low, high = (math.exp(min(y, 600.0)) for y in axes.get_ylim())
    other.set_yticks(round_between(low, high))
    other.yaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}"))
    other.minorticks_off()
    other.set_ylabel("perplexity")
    yield Picture("quality", "Quality by stage",
                  "Log-perplexity on the validation text of every model that the run made, stage by stage (lower "
                  "is better; the scale on the right is perplexity). A point is one model, a black line the mean "
                  "of a stage, the number that mean. The dotted line is the best of all. Grey diamonds are "
                  "controls without the devices' knowledge.",
                  figure)


def round_between(low, high):
    """Round numbers for an axis of perplexity, between 3 and 8 of them where that goes."""
    for marks in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(np.arange(10, 100) / 10)):
        found = [m * 10.0 ** e for e in range(-1, 300) for m in marks if low <= m * 10.0 ** e <= high]
        if len(found) >= 3:
            break
    return found[::-(-len(found) // 8)] if found else []


# ---- bytes ----------------------------------------------------------------------------------------------------------


def measured(run):
    """direction -> ([(class, bytes)], bytes by the closed formula); the classes only where the file has them."""
    group = run.series.get("ledger")
    if group is not None:
        classes = text(group, "classes").split(",")
        return {name: (list(zip(classes, np.sum(data(group, f"{name}_bytes"), axis=0, dtype=float))), float(closed))
                for name, closed in zip(("up", "down"), data(group, "formula_bytes"))}
    clients = run.series.get("clients")
    if clients is None:
        raise Missing("run.h5 has no bytes (neither /ledger nor /clients)")
    report = inside(run.report, "communication")
    return {name: ([("all classes", float(np.sum(data(clients, f"{name}_bytes"))))], number(inside(report, key)))
            for name, key in (("up", "formula_bytes"), ("down", "formula_down_bytes"))}


def draw_bytes(axes, rows):
    for place, (_, value, colour, marker) in enumerate(reversed(rows)):
        axes.plot([1, value], [place, place], color=LIGHT, linewidth=2, zorder=1)
        axes.plot(value, place, marker, color=colour, markersize=9, zorder=2,
                  markerfacecolor="white" if marker == "D" else colour, markeredgewidth=2)
        axes.annotate(bytes_text(value), (value, place), xytext=(9, 0), textcoords="offset points", va="center",
                      fontsize=9)
    axes.set_yticks(range(len(rows)), [name for name, _, _, _ in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xscale("log")
    axes.set_xlim(1, max(value for _, value, _, _ in rows) ** 1.35)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: bytes_text(v)))
    axes.minorticks_off()


def bytes_by_class(run):
    if run.series is None:
        return
    found, panels_of = measured(run), []
    for direction, (classes, formula) in found.items():
        rows = [(name, value, BLUE, "o") for name, value in classes if value > 0]
        if len(rows) > 1:
            rows.append(("together", sum(value for _, value, _, _ in rows), BLACK, "o"))
        if rows and formula > 0:
            rows.append(("closed formula", formula, VERMILION, "D"))
        if rows:
            panels_of.append((direction, rows))
    if not panels_of:
        raise Missing("no byte crossed between devices and server")
    figure, panels = grid(len(panels_of), 0.9 + 0.34 * max(len(rows) for _, rows in panels_of))
    titles = {"up": "up: devices to server", "down": "down: server to devices"}
    for axes, (direction, rows) in zip(panels, panels_of):
        draw_bytes(axes, rows)
        styled(axes, titles.get(direction, direction), "bytes, all devices (logarithmic)", "", "x")
    ways = {"up": "from the devices to the server", "down": "from the server to the devices"}
    silent = [ways.get(d, d) for d in found if d not in [name for name, _ in panels_of]]
    yield Picture("bytes", "Bytes by class of message",
                  "Bytes of all devices together, as counted where they were handed to the transport, by class "
                  "of message. The open diamond is what the method's closed formula says; " + verdict(panels_of)
                  + (f" Nothing crossed {silent[0]}." if silent else "")
                  + ("" if "ledger" in run.series else " This run's file does not tell the classes apart."), figure)


def verdict(panels_of):
    apart = []
    for direction, rows in panels_of:
        formula = [value for name, value, _, _ in rows if name == "closed formula"]
        counted = [value for name, value, _, _ in rows if name != "closed formula"][-1]
        if not formula:
            return "the report gives none for some direction."
        if formula[0] != counted:
            apart.append(f"{direction} by {counted - formula[0]:+,.0f}")
    return f"the count differs from it: {', '.join(apart)} bytes." if apart else "the two are equal to the byte."


def traffic(run):
    """Bytes of each device, up above the line and down below it."""
    if run.series is None:
        return
    group = run.series.get("clients")
    if group is None:
        raise Missing("run.h5 has no devices (/clients)")
    device, up, down = (np.asarray(data(group, name), dtype=float) for name in ("device", "up_bytes", "down_bytes"))
    if not np.any(up) and not np.any(down):
        raise Missing("no byte crossed between devices and server")
    figure, axes = single(3.2)
    families = [str(inside(d, "family")) for d in inside(run.report, "communication", "per_device") or []]
    kinds = sorted(set(families)) if len(families) == len(device) else []
    colours = [(BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)[kinds.index(f) % 6] for f in families] if kinds else BLUE
    width = 0.9 if len(device) <= 200 else 1.0
    axes.bar(device, up / 1e6, width, color=colours)
    if np.any(down):
        axes.bar(device, -down / 1e6, width, color=colours, alpha=0.5)
        axes.axhline(0, color=BLACK, linewidth=0.8)
    for i, kind in enumerate(kinds):
        axes.bar(np.nan, np.nan, color=(BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)[i % 6], label=kind)
    if kinds:
        axes.legend(ncols=min(len(kinds), 6), loc="lower left", bbox_to_anchor=(0, 1))
    axes.margins(x=0.01)
    styled(axes, "", "device", "MB up" + (" (above), down (below)" if np.any(down) else ""), "y")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{abs(v):g}"))
    silent = int(np.sum((up == 0) & (down == 0)))
    yield Picture("traffic", "Bytes of each device",
                  "What each device sent" + (", and below the line what it received" if np.any(down) else "")
                  + (", coloured by its family" if kinds else "") + "."
                  + (f" {silent} devices sent and received nothing." if silent else ""), figure)
