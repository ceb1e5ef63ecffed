"""A method that is switched off for the last part of the run, where the network then sees images as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from cutmix.errors import UsageError
from cutmix.mixing.cutmix import CutMix
from cutmix.mixing.draws import Rng
from cutmix.mixing.method import Mixing, check_mixings, check_progress
from cutmix.mixing.none import NoMixing


@dataclass(frozen=True)
class Until(Mixing):
    """``mixing`` up to a moment of the run, and nothing from then on.

    Args:
        mixing: any method.
        until: the part of the run that is mixed, in [0, 1]: 0.9 of 300 epochs are the first 270.

    Raises:
        UsageError: ``until`` is outside of [0, 1].
    """

    mixing: Mixing = CutMix()  # noqa: RUF009 - frozen
    until: float = 0.9

    def __post_init__(self) -> None:
        check_mixings((self.mixing,))
        if not 0 <= self.until <= 1:
            raise UsageError(f"until={self.until!r} must be from 0 to 1: the part of the run that is mixed.")

    @property
    def parts(self) -> tuple[Mixing, ...]:
        """The one method."""
        return (self.mixing,)

    def at(self, progress: float, shared: Rng | None = None) -> Mixing:
        """The method, or none."""
        check_progress(progress)
        return self.mixing.at(progress, shared) if progress < self.until else NoMixing()

    def draw(self, shape: Sequence[int], rng: Rng | None) -> NoReturn:
        """Never: what is done hangs on the moment.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self} must know how much of the run is done: mixing.at(0.3)(images, labels, rng).")
