"""Follows the attributes of an HDF5 file as H5Web and silx do, and prints what they would stumble over.

  viewers.py FILE... [--plots]     --plots: the file must lead to a plot by NXroot -> NXentry -> NXdata

Needs h5py; exit code 77 without it. The rules: https://manual.nexusformat.org, NXdata; a title is a scalar; axes
are numeric datasets of the same group, as long as the signal along their dimension.
"""
import sys

try:
    import h5py
    import numpy
except ImportError:
    sys.exit(77)


def text(value):
    """An attribute's text, in both forms that h5py gives."""
    return value.decode() if isinstance(value, bytes) else value


def texts(value):
    return [text(value)] if isinstance(value, (bytes, str)) else [text(v) for v in value]


def simple(kind):
    """Numbers and strings: all that viewers read without asking what it means."""
    return kind.names is None and kind.subdtype is None and kind.kind in "iufSO"


def described(item):
    """What is wrong with the description of a dataset and its attributes."""
    for name in item.attrs:
        if not simple(item.attrs.get_id(name).dtype):
            yield f"{item.name}: attribute {name} is of type {item.attrs.get_id(name).dtype}"
    if not isinstance(item, h5py.Dataset):
        return
    if not simple(item.dtype):
        yield f"{item.name}: type {item.dtype}"
    for name in ("description", "units"):
        if not text(item.attrs.get(name, b"")):
            yield f"{item.name}: no {name}"


def plottable(group):
    """What keeps a viewer from drawing an NXdata group."""
    signal = group.get(text(group.attrs.get("signal", b"")) or "no signal")
    if not isinstance(signal, h5py.Dataset):
        yield f"{group.name}: no signal"
        return
    if signal.dtype.kind not in "iuf" or signal.ndim not in (1, 2) or signal.size == 0:
        yield f"{signal.name}: signal of type {signal.dtype} and shape {signal.shape}"
    axes = texts(group.attrs.get("axes", []))
    if len(axes) != signal.ndim:
        yield f"{group.name}: axes {axes} for shape {signal.shape}"
    for length, name in zip(signal.shape, axes):
        axis = group.get(name)
        if not isinstance(axis, h5py.Dataset):
            yield f"{group.name}: axis {name} is not there"
        elif axis.dtype.kind not in "iuf" or axis.shape != (length,):
            yield f"{axis.name}: axis of type {axis.dtype} and shape {axis.shape}, not ({length},)"
    for name in texts(group.attrs.get("auxiliary_signals", [])):
        if not isinstance(group.get(name), h5py.Dataset) or group[name].shape != signal.shape:
            yield f"{group.name}: auxiliary signal {name} is not of the signal's shape"
    title = group.get("title")
    if title is not None and (title.shape != () or not isinstance(text(title[()]), str)):
        yield f"{title.name}: shape {title.shape}, not a scalar text"


def default_plot(file):
    """NXroot -> default NXentry -> default NXdata."""
    here = file
    for wanted in ("NXroot", "NXentry", "NXdata"):
        if text(here.attrs.get("NX_class", b"")) != wanted:
            yield f"{here.name}: NX_class {here.attrs.get('NX_class')}, not {wanted}"
        if wanted == "NXdata":
            return
        name = text(here.attrs.get("default", b""))
        if not name or name not in here:
            yield f"{here.name}: default {name!r} is not there"
            return
        here = here[name]


def faults(path, plots):
    with h5py.File(path, "r") as file:
        items = [file]
        file.visititems(lambda name, item: items.append(item))
        for item in items:
            yield from described(item)
            if text(item.attrs.get("NX_class", b"")) == "NXdata":
                yield from plottable(item)
            default = text(item.attrs.get("default", b""))
            if default and default not in item:
                yield f"{item.name}: default {default} is not there"
            if isinstance(item, h5py.Dataset):
                numpy.asarray(item[()])
        if plots:
            yield from default_plot(file)


if __name__ == "__main__":
    files = [word for word in sys.argv[1:] if word != "--plots"]
    for name in files:
        for fault in faults(name, "--plots" in sys.argv):
            print(f"{name}: {fault}")
