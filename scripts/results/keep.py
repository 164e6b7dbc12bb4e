"""Small copies of run folders: what the tables read, so that results outlive the runs and later ones join them."""
import glob
import os
import shutil

import h5py

import whole
from results.pages import without_paths
from results.runs import Damaged, phase_lines


def copy(source, folder):
    whole.replace(os.path.join(folder, os.path.basename(source)), lambda path: shutil.copyfile(source, path))


def copy_without_paths(source, path):
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(without_paths(line) + "\n" for line in lines)


def copy_phases(source, path):
    lines = [line for line, _ in phase_lines(source)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def copy_documents(source, path):
    try:
        with h5py.File(source, "r") as old, h5py.File(path, "w") as new:
            if "code_revision" in old.attrs:
                new.attrs["code_revision"] = old.attrs["code_revision"]
            for name in ("document", "tokens", "nll"):
                if f"validation/{name}" in old:
                    new.create_dataset(f"validation/{name}", data=old[f"validation/{name}"][()], track_times=False)
    except (OSError, RuntimeError) as error:
        raise Damaged(f"{source}: {error}") from error


def keep(results, out, folder):
    """Copies of all finished runs of `results`, read from `out`, below `folder`; returns how many there are."""
    os.makedirs(folder, exist_ok=True)
    machine = os.path.join(out, "machine.txt")
    if os.path.exists(machine):
        whole.replace(os.path.join(folder, "machine.txt"), lambda path: copy_without_paths(machine, path))
    for (case, devices, seed, method), run in results.runs.items():
        to = os.path.join(folder, case, f"N{devices}", f"seed{seed}", method)
        os.makedirs(to, exist_ok=True)
        for pattern in ("report.json", "settings.txt", "task_*.json"):
            for source in glob.glob(os.path.join(glob.escape(run.folder), pattern)):
                copy(source, to)
        for name, write in (("metrics.jsonl", copy_phases), ("run.h5", copy_documents)):
            source = os.path.join(run.folder, name)
            if os.path.exists(source):
                whole.replace(os.path.join(to, name), lambda path, source=source, write=write: write(source, path))
    return len(results.runs)
