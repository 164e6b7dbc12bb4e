"""What all pictures share: colours that colour-blind readers can tell apart, panels, axes, units."""
from collections import namedtuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend comes first)

# name of the file, title and caption for people, the figure.
Picture = namedtuple("Picture", "name title caption figure")

# Okabe and Ito, Color Universal Design, 2008.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442")
GREY, LIGHT, BLACK = "#6b7280", "#c4c8ce", "#1f2937"
PALETTE = [BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY, BLACK]
MARKERS = "osD^vPX<>"

WIDTH = 9.0  # inches; times the dots below, about the width of a README
DPI = 110

plt.rcParams.update({
    "figure.dpi": DPI, "font.size": 10, "axes.titlesize": 11, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.edgecolor": GREY,
    "legend.frameon": False, "legend.fontsize": 8.5, "xtick.labelsize": 9, "ytick.labelsize": 9,
})


def styled(axes, title, x, y, lines="both"):
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, axis=lines, alpha=0.25)


def grid(count, height, columns=2, **options):
    """A figure of `count` panels of a README's width together, and its panels."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(WIDTH, height * rows), squeeze=False, layout="constrained",
                                  **options)
    for spare in panels.flat[count:]:
        spare.set_visible(False)
    return figure, list(panels.flat[:count])


def single(height, width=WIDTH):
    return plt.subplots(figsize=(width, height), layout="constrained")


def bytes_text(value):
    """12,345,678 as "12.3 MB"."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if value / size < 999.5 else f"{value / size:.0f} {unit}"
    return f"{value:.0f} B"


def some_ticks(axis, count, most=24, names=None):
    """Ticks at 0 .. count-1, thinned to at most `most`."""
    step = next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10 ** 9)
                if count <= most * step)
    places = range(0, count, step)
    axis.set_ticks(places, [str(names[p]) if names is not None else str(p) for p in places])


def legend_below(figure, handles, columns=6):
    """One legend under all panels, for which the panels make room."""
    columns = min(len(handles), columns)
    room = (0.12 + 0.2 * -(-len(handles) // columns)) / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, room, 1, 1 - room))
    figure.legend(handles=handles, loc="lower center", ncols=columns)
