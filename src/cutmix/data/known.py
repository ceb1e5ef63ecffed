"""What a data set that is known by name says about itself, and the error when it is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cutmix.data.splits import Data
from cutmix.errors import CutmixError

if TYPE_CHECKING:
    from cutmix.data.folder import Listing


@dataclass(frozen=True)
class KnownSet:
    """A data set known by name. A module of this folder lists its own in ``SETS``; ``find.py`` lists the modules."""

    name: str
    about: str
    """One line."""
    load: Callable[[Path, int | None], Data]
    """(root, image_size) -> the data. ``image_size`` None is the set's own."""
    places: Callable[[Path], list[Path]] = lambda root: []
    """The folders under a root where it is looked for, best first. None if the set comes with a library."""
    holds: Callable[[Path], bool] = Path.exists
    """Whether such a folder holds the set."""
    listing: Callable[[Path], Listing] | None = None
    """Of photos: root -> the files, none of them opened."""

    def found(self, root: Path) -> Path | None:
        """The first of its places that holds it."""
        return next((place for place in self.places(root) if self.holds(place)), None)


def first_line(error: Exception) -> str:
    """What an error says, without the lines that follow the first."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def missing(name: str, places: list[Path], remedy: str) -> CutmixError:
    """The error that names what is missing, where it was looked for, and what to do."""
    looked = "".join(f"\n  {place}" for place in places)
    return CutmixError(f"{name} was not found. Looked for:{looked}\n{remedy}")
