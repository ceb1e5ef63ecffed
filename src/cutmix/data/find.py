"""From what a user writes, ``cifar10`` or ``folder:PATH``, to a data set; and where data sets are looked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cutmix.data import arrays, cifar, digits
from cutmix.data.splits import Data
from cutmix.errors import UsageError, nearest

KNOWN = (*cifar.SETS, *digits.SETS)


@dataclass(frozen=True)
class DataRow:
    """One line of ``cutmix list data``. ``found`` is None where a path has to be given."""

    name: str
    about: str
    found: bool | None
    place: str


def default_root() -> Path:
    """The folder that holds data sets: CUTMIX_DATA, or cutmix/data in the user's cache (XDG_CACHE_HOME or ~/.cache)."""
    if chosen := os.environ.get("CUTMIX_DATA"):
        return Path(chosen).expanduser()
    return user_cache() / "data"


def user_cache() -> Path:
    """cutmix in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cutmix"


def load_data(spec: str, root: Path | None = None, *, image_size: int | None = None, seed: int = 0) -> Data:
    """The data set that ``spec`` names: a known one, ``arrays:PATH`` or ``folder:PATH``.

    Args:
        spec: one of the names of ``list_data()``, or a path after ``arrays:`` or ``folder:``.
        root: the folder that holds the known sets; ``default_root()`` unless given.
        image_size: the side fed to the network; the set's own unless given.
        seed: draws the test part of a folder that has none.

    Raises ``UsageError`` for a spec that is not understood, ``CutmixError`` if the data is missing or cannot be used.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"image_size is {image_size}; at least 1 pixel is accepted.")
    kind, colon, path = spec.partition(":")
    if colon and kind == "arrays":
        return arrays.load_arrays(Path(path).expanduser(), image_size)
    known = {entry.name: entry for entry in KNOWN}
    if spec not in known:
        accepted = ", ".join([*known, "folder:PATH", "arrays:PATH"])
        raise UsageError(f"Unknown data {spec!r}.{nearest(spec, known)} Accepted: {accepted}.")
    return known[spec].load(default_root() if root is None else Path(root), image_size, seed)
