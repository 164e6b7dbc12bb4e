"""Maps of the experts: which tokens they get, and which devices they are made of."""
import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from plotting.read import Missing, data
from plotting.style import BLACK, GREY, VERMILION, Picture, single, some_ticks

SHARES = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#9ecae1", "#0072B2", "#08204a"])
LOADS = LinearSegmentedColormap.from_list("loads", colormaps["PuOr_r"](np.linspace(0.08, 0.92, 64)))
IDLE = "#9ca3af"
MOST = 2.0  # the scale of loads ends at a factor of 2**MOST on either side of the uniform share
FRACTIONS = {-2: "1/4", -1: "1/2", 0: "uniform", 1: "2", 2: "4"}


def heat(axes, values, **options):
    image = axes.imshow(values, aspect="auto", interpolation="nearest", **options)
    axes.spines[["top", "right"]].set_visible(True)
    return image


def annotate(axes, share, image):
    """The share in percent in each cell, where there is room; white on dark cells."""
    layers, experts = share.shape
    if experts > 16 or layers > 16:
        return
    light = image.to_rgba(image.get_array())[..., :3] @ (0.299, 0.587, 0.114)
    for i in range(layers):
        for e in range(experts):
            percent = 100 * share[i, e]
            name = "0" if percent == 0 else f"{percent:.1f}" if percent >= 0.05 else "<0.1"
            axes.text(e, i, name, ha="center", va="center", fontsize=8,
                      color="white" if percent > 0 and light[i, e] < 0.5 else BLACK)


def experts(run):
    if run.series is None:
        return
    if "expert_load" not in run.series:
        raise Missing("run.h5 has no load of experts (/expert_load)")
    load = np.asarray(data(run.series["expert_load"], "tokens"), dtype=float)
    if load.ndim != 2 or not np.all(np.isfinite(load)) or not np.all(load.sum(axis=1) > 0):
        raise Missing("run.h5: /expert_load/tokens has a layer without tokens")
    share, count = load / load.sum(axis=1, keepdims=True), load.shape[1]
    with np.errstate(divide="ignore"):
        ratio = np.clip(np.log2(share * count), -MOST, MOST)
    figure, axes = single(min(1.6 + 0.36 * len(load), 6.5))
    image = heat(axes, np.where(load > 0, ratio, np.nan), cmap=LOADS, vmin=-MOST, vmax=MOST)
    axes.set_facecolor(IDLE)
    annotate(axes, share, image)
    bar = figure.colorbar(image, label="share over uniform", pad=0.02)
    bar.ax.yaxis.set_major_locator(FixedLocator(list(FRACTIONS)))
    bar.ax.yaxis.set_major_formatter(FixedFormatter(list(FRACTIONS.values())))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.axhline(0, color=BLACK, linewidth=1)
    some_ticks(axes.xaxis, count, 32)
    some_ticks(axes.yaxis, len(load), 16)
    axes.set_xlabel("expert")
    axes.set_ylabel("layer")
    axes.set_title(f"the uniform share is {100 / count:.3g} %")
    idle = int((load == 0).sum())
    unused = "every expert got tokens" if idle == 0 else f"grey: no token at all ({idle} of {load.size})"
    numbers = " Numbers: the share in percent." if count <= 16 and len(load) <= 16 else ""
    yield Picture("experts", "Load of the experts",
                  f"Share of the held-out public tokens that the router of each layer sends to each of {count} "
                  f"experts. White is the uniform share, {100 / count:.3g} %; orange experts get more, purple "
                  f"ones less; {unused}.{numbers}",
                  figure)


def ordered(clusters, count):
    """Devices by cluster, those of none behind; [(family, first place, places)] of the clusters that have any."""
    order, blocks = [], []
    for family, members in clusters:
        members = [m for m in sorted(set(members)) if 0 <= m < count and m not in order]
        if members:
            blocks.append((family, len(order), len(members)))
            order += members
    return order + [n for n in range(count) if n not in set(order)], blocks


def draw_blocks(axes, blocks, count):
    """Borders of the clusters, and their names above where there is room."""
    for i, (family, first, size) in enumerate(blocks):
        for border in {first, first + size} - {0, count}:
            axes.axvline(border - 0.5, color=VERMILION, linewidth=1.2 if len(blocks) <= 12 else 0.6)
        name = f"{i}: {family}"
        if size >= 0.012 * count * len(name):
            axes.annotate(name, (first + (size - 1) / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                          textcoords="offset points", ha="center", fontsize=8.5, color=VERMILION)
        elif len(blocks) <= 40:
            axes.annotate(str(i), (first + (size - 1) / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                          textcoords="offset points", ha="center", fontsize=7.5, color=VERMILION)


def lineage(run):
    if run.series is None:
        return
    shares = np.asarray(run.lineage(), dtype=float)
    if shares.ndim != 2 or not np.any(np.nan_to_num(shares) > 0):
        raise Missing("the experts come from no device (lineage is empty)")
    rows, count = shares.shape
    order, blocks = ordered(run.clusters(), count)
    figure, axes = single(min(max(1.9 + 0.16 * rows, 3), 6.5))
    image = heat(axes, shares[:, order], cmap=SHARES, vmin=0)
    axes.set_facecolor(GREY)
    figure.colorbar(image, label="share of the device's model", pad=0.02)
    draw_blocks(axes, blocks, count)
    some_ticks(axes.xaxis, count, 40 if count <= 40 else 20, order)
    axes.tick_params(axis="x", labelsize=8 if count <= 32 else 7)
    some_ticks(axes.yaxis, rows, 16)
    axes.set_xlabel("device, ordered by cluster" if blocks else "device")
    axes.set_ylabel("expert")
    left = count - sum(size for _, _, size in blocks)
    text = (f"Orange lines part the {len(blocks)} clusters (number and family of the devices on top)"
            + (f"; the last {left} devices belong to none" if left else "") if blocks
            else "The method has no clusters: devices stand in their order")
    yield Picture("lineage", "Lineage of the experts",
                  f"Which of the {count} devices shaped which of the {rows} experts: the darker a cell, the "
                  f"larger the part of the device's model in what the expert was made of; white: none. {text}.", figure)
