"""From what a user writes, ``cifar10`` or ``folder:PATH``, to a data set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cutmix.data import arrays, cifar, cub200, digits, fashion_mnist, folder, imagenet, oxford_pets, tiny_imagenet
from cutmix.data.photo_facts import Progress
from cutmix.data.places import default_root
from cutmix.data.splits import Data
from cutmix.errors import UsageError, nearest

KNOWN = {
    entry.name: entry
    for module in (cifar, fashion_mnist, digits, imagenet, tiny_imagenet, cub200, oxford_pets)
    for entry in module.SETS
}

PATH_KINDS = {
    "folder": "your own pictures: a folder a class, or train and val with a folder a class in each",
    "arrays": "your own small images: train.npz and test.npz with images, labels and classes",
}


class DataRow(NamedTuple):
    """One line of ``cutmix list data``."""

    name: str
    about: str
    found: str
    """"found", "not found", "bundled", or "give a path"."""
    place: str
    """Where it was found, or every place that was looked at, joined by commas."""


def load_data(
    spec: str,
    root: Path | None = None,
    *,
    image_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Data:
    """The data set that ``spec`` names.

    Args:
        spec: one of the names of ``list_data()``, or ``folder:PATH`` or ``arrays:PATH``.
        root: the folder that holds the known sets; ``default_root()`` unless given.
        image_size: the side fed to the network; the set's own unless given.
        seed: draws the test part of a folder that has none.
        progress: called with (done, all) while the files of a folder are looked at for the first time.

    Raises ``UsageError`` for a spec that is not understood, ``CutmixError`` if the data is missing or cannot be used.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"image_size is {image_size}; at least 1 pixel is accepted.")
    kind, path = parse_spec(spec)
    if kind == "folder":
        return folder.load_folder(path, image_size, seed, progress)
    if kind == "arrays":
        return arrays.load_arrays(path, image_size)
    return KNOWN[kind].load(default_root() if root is None else Path(root), image_size)


def parse_spec(spec: str) -> tuple[str, Path]:
    """("folder", PATH), ("arrays", PATH) or (the name of a known set, the current folder); ``UsageError`` otherwise."""
    kind, colon, path = spec.partition(":")
    if colon and kind in PATH_KINDS and path:
        return kind, Path(path).expanduser()
    if spec in KNOWN:
        return spec, Path()
    accepted = ", ".join([*KNOWN, *(f"{kind}:PATH" for kind in PATH_KINDS)])
    raise UsageError(f"Unknown data {spec!r}.{nearest(spec, KNOWN)} Accepted: {accepted}.")


def list_data(root: Path | None = None) -> list[DataRow]:
    """Every set that can be named, and whether it is there."""
    under = default_root() if root is None else Path(root)
    rows = []
    for name, entry in KNOWN.items():
        place, places = entry.found(under), entry.places(under)
        if place is not None or not places:
            rows.append(DataRow(name, entry.about, "found" if place else "bundled", str(place or "")))
        else:
            rows.append(DataRow(name, entry.about, "not found", ", ".join(map(str, places))))
    return rows + [DataRow(f"{kind}:PATH", about, "give a path", "") for kind, about in PATH_KINDS.items()]
