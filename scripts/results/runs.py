"""Reads the run folders that scripts/reproduce.sh has made: OUT/CASE/N16/seed1/METHOD."""
import glob
import json
import math
import os
import re

import h5py

# In the order of the tables; what else is found comes behind.
METHODS = ["central", "public_only", "fedavg", "fedjets", "fedkmt", "ofakd", "deepfusion-paper", "deepfusion-public",
           "deepfusion"]
LABELS = {"deepfusion": "deepfusion (extended)", "deepfusion-paper": "deepfusion (paper)",
          "deepfusion-public": "deepfusion (public text)"}
REFERENCE = "deepfusion"  # what every difference is to
CONTROL, BOUND = "public_only", "central"

# Phases whose result a run may take from another run of the same case and seed (reproduce.sh links the files), and for
# the last set of the same devices: each is counted at its full cost in every run that needs it.
SHARED_BY_ALL = {"family starts", "base start", "server"}
SHARED_BY_DEVICES = {"local training"}


class Damaged(Exception):
    """A file of a run that cannot be read."""


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise Damaged(f"{path}: {error}") from error


def phase_lines(path):
    """(line, event) of every phase in a log of events."""
    found = []
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # cut off when the run was killed
                continue
            if isinstance(event, dict) and event.get("event") == "phase" and "name" in event:
                found.append((line, event))
    return found


def number(value):
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


class Run:
    """One finished run. Numbers that its program does not give are NaN."""

    def __init__(self, folder, case, devices, seed, method):
        self.folder, self.case, self.devices, self.seed, self.method = folder, case, devices, seed, method
        self.report = read_json(os.path.join(folder, "report.json"))
        self.settings = self.read_settings()
        self.phases = self.read_phases()
        self.documents, self.revision = self.read_documents()
        self.tasks = {}
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "task_*.json"))):
            self.tasks[os.path.basename(path)[len("task_"):-len(".json")]] = read_json(path)

    def read_settings(self):
        try:
            with open(os.path.join(self.folder, "settings.txt"), encoding="utf-8") as file:
                return [line.split(maxsplit=1) for line in file.read().splitlines() if " " in line]
        except OSError:
            return []

    def read_phases(self):
        """name -> {seconds, flops, tokens, devices}, summed over all starts of the run."""
        phases = {}
        try:
            events = [event for _, event in phase_lines(os.path.join(self.folder, "metrics.jsonl"))]
        except OSError:
            return phases
        for event in events:
            place = event.get("place", "devices" if event["name"] == "local training" else "server")
            phase = phases.setdefault(event["name"], {"seconds": 0.0, "flops": 0.0, "devices": place == "devices"})
            for key in ("seconds", "flops"):
                phase[key] += number(event.get(key, 0))
        return phases

    def read_documents(self):
        """(document -> (nll, tokens) of the final model, revision of the program); None, None if they are not there."""
        path = os.path.join(self.folder, "run.h5")
        try:
            with h5py.File(path, "r") as file:
                revision = file.attrs.get("code_revision")
                revision = revision.decode() if isinstance(revision, bytes) else revision
                group = file.get("validation")
                if group is None or not {"nll", "tokens", "document"} <= set(group):
                    return None, revision
                rows = zip(group["document"][()], group["nll"][()], group["tokens"][()])
                return {int(d): (float(nll), int(tokens)) for d, nll, tokens in rows if tokens > 0}, revision
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, RuntimeError) as error:
            raise Damaged(f"{path}: {error}") from error

    # ---- what the tables show

    def quality(self, key):
        return number(self.report.get("quality", {}).get("all", {}).get(key))

    def best_device(self, key):
        """The same of the best upload alone."""
        best = (self.report.get("baselines") or {}).get("best_device") or {}
        return number((best.get("all") or {}).get(key))

    def row(self, key):
        """A number of the row of the final model."""
        own = [row for row in self.report.get("rows") or [] if row.get("name") == "tuned"]
        return number(own[0].get(key)) if own else math.nan

    def traffic(self, key):
        return number((self.report.get("communication") or {}).get(key))

    def device_memory(self):
        """Most bytes of any device; the list may stand alone or under a name."""
        found = []

        def look(item):
            if isinstance(item, dict):
                found.append(number(item.get("peak_bytes")))
                for value in item.values():
                    look(value)
            elif isinstance(item, list):
                for value in item:
                    look(value)

        look(self.report.get("device_memory"))
        return max((value for value in found if math.isfinite(value)), default=math.nan)


class Results:
    """All runs below a folder; a missing one is None."""

    def __init__(self, out):
        self.runs, self.unfinished = {}, []
        for folder in sorted(glob.glob(os.path.join(glob.escape(out), "*", "N*", "seed*", "*"))):
            parts = re.search(r"([^/]+)/N(\d+)/seed(\d+)/([^/]+)$", folder)
            if not parts or not os.path.isdir(folder):
                continue
            key = (parts[1], int(parts[2]), int(parts[3]), parts[4])
            if os.path.exists(os.path.join(folder, "report.json")):
                self.runs[key] = Run(folder, *key)
            else:
                self.unfinished.append(key)
        self.cases = sorted({key[0] for key in self.runs})
        self.machine = self.read_machine(out)

    @staticmethod
    def read_machine(out):
        try:
            with open(os.path.join(out, "machine.txt"), encoding="utf-8") as file:
                return dict(line.split(" ", 1) for line in file.read().splitlines() if " " in line)
        except OSError:
            return {}

    def devices(self, case):
        return sorted({key[1] for key in self.runs if key[0] == case})

    def seeds(self, case):
        return sorted({key[2] for key in self.runs if key[0] == case})

    def methods(self, case):
        found = {key[3] for key in self.runs if key[0] == case}
        return METHODS + sorted(found - set(METHODS))

    def of(self, case, n, method):
        """Runs of all seeds, by seed."""
        return {key[2]: run for key, run in sorted(self.runs.items()) if key[:2] == (case, n) and key[3] == method}

    def sharing(self, run, phase):
        """Finished runs, this one among them, that one result of this phase serves."""
        if phase not in SHARED_BY_ALL | SHARED_BY_DEVICES:
            return [run]
        return [other for other in self.runs.values()
                if (other.case, other.seed) == (run.case, run.seed) and phase in other.phases
                and (phase in SHARED_BY_ALL or other.devices == run.devices)]

    def effort(self, run, what, devices=None):
        """FLOPs or seconds of a run, on the devices, on the server, or both (None)."""
        total = 0.0
        for name, phase in run.phases.items():
            if devices is not None and phase["devices"] != devices:
                continue
            total += max(other.phases[name][what] for other in self.sharing(run, name))
        return total if run.phases else math.nan
