"""What a data set that is known by name says about itself, and the error when it is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cutmix.data.splits import Data
from cutmix.errors import CutmixError


@dataclass(frozen=True)
class KnownSet:
    """A data set known by name. A module of this folder lists its own in ``SETS``; ``find.py`` lists the modules."""

    name: str
    about: str
    """One line."""
    load: Callable[[Path, int | None, int], Data]
    """(root, image_size, seed) -> the data. ``image_size`` None is the set's own."""
    places: Callable[[Path], list[Path]]
    """The files or folders under a root of which one must exist, best first. None if it comes with a library."""

    def found(self, root: Path) -> Path | None:
        """The first of its places that exists."""
        return next((place for place in self.places(root) if place.exists()), None)


def missing(name: str, places: list[Path], remedy: str) -> CutmixError:
    """The error that names what is missing, where it was looked for, and what to do."""
    looked = "".join(f"\n  {place}" for place in places)
    return CutmixError(f"{name} was not found. Looked for:{looked}\n{remedy}")
