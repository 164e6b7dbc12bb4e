"""The files of a run folder, opened and checked: market.h5, run.h5, report.json, the newest checkpoint."""
import glob
import json
import math
import os

import h5py


class Missing(Exception):
    """What a picture needs and the run does not have: the picture is left out, the page says why."""


class Damaged(Exception):
    """A file that cannot be read: nothing is drawn."""


def text(item, name):
    """An attribute as text; lists are joined by commas in the file."""
    if name not in item.attrs:
        raise Missing(f"{os.path.basename(item.file.filename)}: {item.name} has no attribute {name}")
    value = item.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def data(group, name):
    if name not in group:
        raise Missing(f"{os.path.basename(group.file.filename)}: no {group.name.rstrip('/')}/{name}")
    return group[name][()]


def label(group, name):
    """What an axis shows, with its unit."""
    unit = text(group[name], "units")
    return text(group[name], "description") + ("" if unit == "1" else f" ({unit})")


def number(value):
    """A number of a report; NaN for null and whatever is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def inside(report, *keys):
    """report[key][key]...; None where the way ends early."""
    for key in keys:
        report = report.get(key) if isinstance(report, dict) else None
    return report


def open_h5(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise Damaged(f"{path}: not a readable HDF5 file ({error})") from error


def read_report(folder):
    path = os.path.join(folder, "report.json")
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Damaged(f"{path}: not readable JSON ({error})") from error
    if not isinstance(report, dict):
        raise Damaged(f"{path}: not a JSON object")
    return report


def progress_of(folder):
    """The last line of progress, or nothing."""
    try:
        with open(os.path.join(folder, "progress"), encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


class Run:
    """One run folder. What is not there is None; `report` is None while a training is not finished."""

    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.basename(os.path.abspath(folder)) or folder
        self.market, self.series = open_h5(folder, "market.h5"), open_h5(folder, "run.h5")
        self.report = read_report(folder)

    def close(self):
        for file in (self.market, self.series):
            if file:
                file.close()

    def need_report(self):
        if self.report is None:
            raise Missing("no report.json: the run is not finished")
        return self.report

    def rows(self):
        """[(name, log-perplexity)] of the report's models that were measured, in its order."""
        rows = [row for row in self.need_report().get("rows") or [] if isinstance(row, dict)]
        found = [(str(row.get("name")), number(inside(row, "quality", "all", "log_perplexity"))) for row in rows]
        return [(name, value) for name, value in found if math.isfinite(value)]

    def clusters(self):
        """[(family, devices)] of the report; empty for methods without clusters."""
        found = (self.report or {}).get("clusters") or []
        return [(str(inside(c, "family")), [int(m) for m in inside(c, "members") or []]) for c in found]

    def lineage(self):
        """(experts, devices): shares of each device's model in each expert, of the newest checkpoint."""
        names = sorted(glob.glob(os.path.join(glob.escape(self.folder), "checkpoint", "step_*.h5")))
        if not names:
            raise Missing("no checkpoint, which holds the lineage")
        try:
            with h5py.File(names[-1], "r") as file:
                return data(file, "lineage/expert_device")
        except OSError as error:
            raise Missing(f"{os.path.basename(names[-1])}: not a readable HDF5 file") from error

    def documents(self):
        """(number, nll, tokens) of each validation document under the final model; None without them."""
        group = self.series.get("validation") if self.series else None
        if group is None or not {"document", "nll", "tokens"} <= set(group):
            return None
        return group["document"][()], group["nll"][()], group["tokens"][()]


def is_run(folder):
    names = ("market.h5", "run.h5", "report.json", "metrics.jsonl", "deck.yaml")
    return any(os.path.exists(os.path.join(folder, name)) for name in names)


def runs_below(folder, depth=6):
    """Folders of runs below a folder, in order; a run is not searched for more."""
    if is_run(folder):
        return [folder]
    if depth == 0:
        return []
    below = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    return [found for path in below for found in runs_below(path, depth - 1)]
